import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { injectPod } from './inject-pod.ts'
import type { ContainerObject, PodObject } from './pod-object.ts'
import { reviewPod, reviewPodChange } from './review-pod.ts'
import { contextOf, SETTINGS } from './testing/context.ts'

const context = contextOf()

const BARE: PodObject = {
  metadata: { name: 'orders' },
  spec: {
    containers: [
      { name: 'app', image: 'orders', readinessProbe: { httpGet: { path: '/ready', port: 8080 } }, volumeMounts: [] },
    ],
    volumes: [{ name: 'cache', emptyDir: {} }],
  },
}

function injected(): PodObject {
  const result = injectPod(BARE, context)
  assert(result.ok)
  return structuredClone(result.value.pod)
}

/** Members by path, such as `spec.initContainers.1.image`; undefined takes one out. A list grows by its next index. */
type Edits = Readonly<Record<string, unknown>>

/** The pod after something else has changed it. */
function changed(edits: Edits, pod: PodObject = injected()): PodObject {
  const copy = structuredClone(pod)
  for (const [path, value] of Object.entries(edits)) {
    const keys = path.split(/\.(?![^[]*\])/).map((key) => key.replace(/^\[(.*)\]$/, '$1'))
    const last = keys.pop() ?? ''
    let parent = copy as unknown as Record<string, unknown>
    for (const key of keys) parent = parent[key] as Record<string, unknown>
    if (value === undefined) delete parent[last]
    else parent[last] = value
  }
  return copy
}

function errorsOf(pod: PodObject): readonly string[] {
  return reviewPod(pod, context)
    .filter(({ severity }) => severity === 'error')
    .map(({ code, path }) => `${code} ${path}`)
}

function changeErrors(pod: PodObject, before: PodObject): readonly string[] {
  return reviewPodChange(pod, before, context).map(({ code, path }) => `${code} ${path}`)
}

const INIT = 'spec.initContainers[0]'
const SIDECAR = 'spec.initContainers[1]'
const ENV = 6
const PRIVILEGED = { privileged: true }

describe('the review of a pod that is about to be stored', () => {
  it('finds nothing in what injection made and the API server completed', () => {
    const token = { name: 'api', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', readOnly: true }
    const pod = changed({
      'spec.initContainers.0.volumeMounts': [token],
      'spec.initContainers.1.volumeMounts.2': token,
      'spec.initContainers.1.resizePolicy': [{ resourceName: 'cpu', restartPolicy: 'NotRequired' }],
      'spec.initContainers.1.securityContext.procMount': 'Default',
      'spec.initContainers.1.resources': { limits: { cpu: '2', memory: '1Gi' } },
      'spec.containers.0.volumeMounts': [token],
      'spec.containers.0.terminationMessagePath': '/dev/termination-log',
      'spec.volumes.3': { name: 'api', projected: { sources: [] } },
      'spec.tolerations': [{ key: 'a' }],
    })
    assert.deepEqual(errorsOf(pod), [])
  })

  it('finds nothing in a pod whose name was made up since', () => {
    const result = injectPod({ ...BARE, metadata: { generateName: 'orders-' } }, context)
    assert(result.ok)
    assert.deepEqual(errorsOf(changed({ 'metadata.name': 'orders-x7k2p' }, result.value.pod)), [])
  })

  const attacks: readonly (readonly [what: string, attack: Edits, expected: string])[] = [
    ['the sidecar is another image', { 'spec.initContainers.1.image': 'evil' }, `not-as-injected ${SIDECAR}.image`],
    [
      'the sidecar is another user',
      { 'spec.initContainers.1.securityContext.runAsUser': 1 },
      `not-as-injected ${SIDECAR}.securityContext`,
    ],
    [
      'the sidecar has a capability',
      { 'spec.initContainers.1.securityContext.capabilities.add': ['NET_ADMIN'] },
      `not-as-injected ${SIDECAR}.securityContext`,
    ],
    [
      'the sidecar sees unmasked /proc',
      { 'spec.initContainers.1.securityContext.procMount': 'Unmasked' },
      `not-as-injected ${SIDECAR}.securityContext`,
    ],
    [
      'the sidecar has other arguments',
      { 'spec.initContainers.1.args.1': '--open' },
      `not-as-injected ${SIDECAR}.args`,
    ],
    ['the sidecar has a command', { 'spec.initContainers.1.command': ['sh'] }, `not-as-injected ${SIDECAR}.command`],
    [
      'the sidecar has another variable',
      { [`spec.initContainers.1.env.${ENV}`]: { name: 'NODE_OPTIONS', value: '--require=/x' } },
      `not-as-injected ${SIDECAR}.env`,
    ],
    [
      'the sidecar has variables from elsewhere',
      { 'spec.initContainers.1.envFrom': [{ configMapRef: { name: 'x' } }] },
      `not-as-injected ${SIDECAR}.envFrom`,
    ],
    [
      'the sidecar has another volume',
      { 'spec.initContainers.1.volumeMounts.2': { name: 'cache', mountPath: '/app' } },
      `not-as-injected ${SIDECAR}.volumeMounts`,
    ],
    [
      'the sidecar ends before the app',
      { 'spec.initContainers.1.restartPolicy': undefined },
      `not-as-injected ${SIDECAR}.restartPolicy`,
    ],
    [
      'the sidecar is not waited for',
      { 'spec.initContainers.1.startupProbe': undefined },
      `not-as-injected ${SIDECAR}.startupProbe`,
    ],
    ['the init container captures nothing', { 'spec.initContainers.0.args': ['help'] }, `not-as-injected ${INIT}.args`],
    [
      'the init container never ends',
      { 'spec.initContainers.0.restartPolicy': 'Always' },
      `not-as-injected ${INIT}.restartPolicy`,
    ],
    [
      'the init container runs something of the pod',
      { 'spec.initContainers.0.lifecycle': { postStart: { exec: { command: ['nft', 'flush', 'ruleset'] } } } },
      `not-as-injected ${INIT}.lifecycle`,
    ],
    [
      'another container comes first',
      { 'spec.initContainers': [{ name: 'early' }, ...(injected().spec.initContainers ?? [])] },
      `not-as-injected ${INIT}`,
    ],
    ['the state is on a disk', { 'spec.volumes.1.emptyDir': {} }, 'not-as-injected spec.volumes'],
    [
      'a probe goes past the sidecar',
      { 'spec.containers.0.livenessProbe': { tcpSocket: { port: 8080 } } },
      'not-as-injected spec.containers[0].livenessProbe',
    ],
    [
      'a container came that could get round',
      { 'spec.containers.1': { name: 'late', securityContext: PRIVILEGED } },
      'escapes-capture spec.containers[1].securityContext.privileged',
    ],
    [
      'a container came that mounts the state',
      { 'spec.containers.1': { name: 'late', volumeMounts: [{ name: 'hauberk-state', mountPath: '/s' }] } },
      'reserved-name spec.containers[1].volumeMounts[0].name',
    ],
    [
      'a container came with the user of the sidecar',
      { 'spec.containers.1': { name: 'late', securityContext: { runAsUser: 15_013 } } },
      'reserved-uid spec.containers[1].securityContext.runAsUser',
    ],
    ['processes are shared', { 'spec.shareProcessNamespace': true }, 'shared-processes spec.shareProcessNamespace'],
    ['the network of the node is taken', { 'spec.hostNetwork': true }, 'host-network spec.hostNetwork'],
    [
      'something is excluded',
      { 'metadata.annotations.[hauberk.dev/exclude-inbound-ports]': '80' },
      'opt-out-refused metadata.annotations["hauberk.dev/exclude-inbound-ports"]',
    ],
  ]
  for (const [what, attack, expected] of attacks) {
    it(`T28: refuses a pod in which, after injection, ${what}`, () => {
      assert(errorsOf(changed(attack)).includes(expected), errorsOf(changed(attack)).join('\n'))
    })
  }

  it('T28: refuses a pod that was never injected, or no longer says so', () => {
    assert.deepEqual(errorsOf(BARE), [
      'not-as-injected spec.initContainers[0]',
      'not-as-injected spec.initContainers[1]',
      'not-as-injected spec.volumes',
      'not-as-injected spec.volumes',
      'not-as-injected spec.containers[0].readinessProbe',
    ])
    assert.notDeepEqual(errorsOf(changed({ 'metadata.annotations': undefined })), [])
  })

  it('T28: makes nothing of what somebody wrote into the sidecar before injection', () => {
    const forged = changed({
      'spec.initContainers.1.image': 'evil',
      [`spec.initContainers.1.env.${ENV}`]: { name: 'NODE_OPTIONS', value: '--require=/x' },
      'spec.initContainers.0.securityContext': PRIVILEGED,
    })
    const again = injectPod(forged, context)
    assert(again.ok)
    assert.deepEqual(again.value.pod, injected())
  })
})

describe('what a sidecar could not be told', () => {
  const withApp = (app: Partial<ContainerObject>, spec: Partial<PodObject['spec']> = {}): PodObject => ({
    metadata: { name: 'orders' },
    spec: { ...spec, containers: [{ name: 'app', ...app }] },
  })
  const get = { path: '/', port: 80 }
  const probed = { readinessProbe: { tcpSocket: { port: 80 } }, livenessProbe: { tcpSocket: { port: 80 } } }
  const many = Array.from({ length: 129 }, (_, i) => ({ name: `c${i}`, ...probed }))
  const long = Array.from({ length: 40 }, () => ({ name: 'x', value: 'y'.repeat(4_000) }))
  const pods: readonly (readonly [string, PodObject, RegExp])[] = [
    [
      'a path that is too long',
      withApp({ readinessProbe: { httpGet: { ...get, path: `/${'x'.repeat(5_000)}` } } }),
      /4096/,
    ],
    ['too many probes', { spec: { containers: many } }, /256/],
    ['more than a variable holds', withApp({ readinessProbe: { httpGet: { ...get, httpHeaders: long } } }), /130000/],
  ]
  for (const [what, pod, expected] of pods) {
    it(`is refused with its reason: ${what}`, () => {
      const result = injectPod(pod, context)
      const [found] = result.ok ? [] : result.issues
      assert.equal(found?.code, 'malformed-probe')
      assert.match(found.message, expected)
    })
  }

  it('is no long time that a pod is given to end', () => {
    const pod = withApp({ lifecycle: { preStop: { httpGet: get } } }, { terminationGracePeriodSeconds: 604_800 })
    const result = injectPod(pod, context)
    assert(result.ok)
    assert.deepEqual(reviewPod(result.value.pod, context), [])
  })
})

describe('the review of a change of a pod', () => {
  const ephemeral = (container: ContainerObject) => changed({ 'spec.ephemeralContainers': [container] })

  it('lets a debug container in that sees nothing of the sidecar', () => {
    const debug = {
      name: 'debugger-x',
      image: 'tools',
      targetContainerName: 'app',
      securityContext: { capabilities: { add: ['SYS_PTRACE'] } },
    }
    assert.deepEqual(changeErrors(ephemeral(debug), injected()), [])
  })

  const attacks: readonly (readonly [string, ContainerObject, string])[] = [
    [
      'is privileged',
      { name: 'debug', securityContext: { privileged: true } },
      'escapes-capture spec.ephemeralContainers[0].securityContext.privileged',
    ],
    [
      'may change the rules',
      { name: 'debug', securityContext: { capabilities: { add: ['NET_ADMIN'] } } },
      'escapes-capture spec.ephemeralContainers[0].securityContext.capabilities.add[0]',
    ],
    [
      'is the user of the sidecar',
      { name: 'debug', securityContext: { runAsUser: 15_013 } },
      'reserved-uid spec.ephemeralContainers[0].securityContext.runAsUser',
    ],
    [
      'sees the processes of the sidecar',
      { name: 'debug', targetContainerName: 'hauberk-sidecar' },
      'shared-processes spec.ephemeralContainers[0].targetContainerName',
    ],
    [
      'mounts the credentials',
      { name: 'debug', volumeMounts: [{ name: 'hauberk-credentials', mountPath: '/c' }] },
      'reserved-name spec.ephemeralContainers[0].volumeMounts[0].name',
    ],
    ['has a name of the mesh', { name: 'hauberk-debug' }, 'reserved-name spec.ephemeralContainers[0].name'],
  ]
  for (const [what, container, expected] of attacks) {
    it(`T28: refuses an ephemeral container that ${what}`, () => {
      assert.deepEqual(changeErrors(ephemeral(container), injected()), [expected])
    })
  }

  it('T28: refuses another image for the sidecar, but for the one that is injected now', () => {
    const withImage = (image: string) => changed({ 'spec.initContainers.1.image': image })
    assert.deepEqual(changeErrors(withImage('evil'), injected()), [`not-as-injected ${SIDECAR}.image`])
    assert.deepEqual(changeErrors(withImage(SETTINGS.image), withImage('hauberk-sidecar:0.0.9')), [])
  })

  it('T28: refuses another image also where the mark of the injection is taken off at once', () => {
    const pod = changed({ 'spec.initContainers.1.image': 'evil', 'metadata.annotations': undefined })
    assert(changeErrors(pod, injected()).includes(`not-as-injected ${SIDECAR}.image`))
  })

  it('F20: lets a pod of an older operator be changed in what does not concern the sidecar', () => {
    const old = changed({
      'spec.initContainers.1.image': 'hauberk-sidecar:0.0.9',
      'spec.initContainers.1.env': [{ name: 'HAUBERK_SIDECAR', value: '{"contract":0}' }],
      'metadata.annotations.[hauberk.dev/injected]': '0',
    })
    const later = changed({ 'spec.activeDeadlineSeconds': 5, 'spec.containers.0.image': 'orders:2' }, old)
    assert.deepEqual(changeErrors(later, old), [])
    const attacked = changed({ 'spec.ephemeralContainers': [{ name: 'debug', securityContext: PRIVILEGED }] }, later)
    assert.deepEqual(changeErrors(attacked, old), [
      'escapes-capture spec.ephemeralContainers[0].securityContext.privileged',
    ])
  })

  it('lets a pod be that was there before its namespace opted in', () => {
    const agent: PodObject = { metadata: { name: 'agent' }, spec: { hostNetwork: true, containers: [{ name: 'a' }] } }
    assert.deepEqual(changeErrors({ ...agent, metadata: { name: 'agent', labels: { a: 'b' } } }, agent), [])
  })
})
