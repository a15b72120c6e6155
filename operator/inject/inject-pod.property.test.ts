import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from '#fast-check'
import { jsonPatch } from '../admission/json-patch.ts'
import { applyPatch } from '../admission/testing/apply-patch.ts'
import { injectPod } from './inject-pod.ts'
import { type PodObject, readPodObject } from './pod-object.ts'
import { restorePod } from './restore-pod.ts'
import { reviewPod, reviewPodChange } from './review-pod.ts'
import { contextOf } from './testing/context.ts'

const port = fc.integer({ min: 1, max: 14_999 })
const name = fc.constantFrom('app', 'web', 'proxy', 'job', 'side')
const header = fc.record({ name: fc.stringMatching(/^[A-Za-z-]{1,8}$/), value: fc.stringMatching(/^[ -~]{0,12}$/) })
const handler = fc.oneof(
  fc.record({
    httpGet: fc.record(
      {
        port,
        path: fc.string(),
        scheme: fc.constantFrom('HTTP', 'HTTPS'),
        httpHeaders: fc.array(header, { maxLength: 3 }),
      },
      { requiredKeys: ['port'] },
    ),
  }),
  fc.record({ httpGet: fc.record({ port, host: fc.constant('status.example') }) }),
  fc.record({ exec: fc.record({ command: fc.array(fc.string(), { minLength: 1, maxLength: 2 }) }) }),
)
const probe = fc
  .tuple(
    fc.oneof(
      handler,
      fc.record({ tcpSocket: fc.record({ port }) }),
      fc.record({ grpc: fc.record({ port, service: fc.string() }, { requiredKeys: ['port'] }) }),
    ),
    fc.record({ timeoutSeconds: fc.integer({ min: 1, max: 9 }), periodSeconds: port }, { requiredKeys: [] }),
  )
  .map(([asked, timing]) => ({ ...asked, ...timing }))

const container = fc.record(
  {
    name,
    image: fc.string(),
    startupProbe: probe,
    readinessProbe: probe,
    livenessProbe: probe,
    lifecycle: fc.record({ postStart: handler, preStop: handler }, { requiredKeys: [] }),
    securityContext: fc.record({ runAsUser: fc.integer({ min: 0, max: 2_000 }) }),
    resources: fc.constant({ limits: { cpu: '1' } }),
  },
  { requiredKeys: ['name'] },
)
const containers = (minLength: number, prefix: string) =>
  fc
    .uniqueArray(container, { minLength, maxLength: 3, selector: (each) => each.name })
    .map((list) => list.map((each) => ({ ...each, name: prefix + each.name })))

const pod = fc
  .record(
    {
      metadata: fc.record(
        {
          name: fc.constant('orders'),
          labels: fc.constant({ app: 'orders' }),
          annotations: fc.dictionary(
            fc.constantFrom('a', 'b', 'hauberk.dev/exclude-outbound-ports'),
            fc.constant('25'),
          ),
        },
        { requiredKeys: [] },
      ),
      spec: fc.record(
        {
          containers: containers(1, ''),
          initContainers: containers(0, 'init-'),
          volumes: fc.constant([{ name: 'cache', emptyDir: {} }]),
          terminationGracePeriodSeconds: fc.integer({ min: 0, max: 90 }),
          restartPolicy: fc.constantFrom('Always', 'Never'),
        },
        { requiredKeys: ['containers'] },
      ),
    },
    { requiredKeys: ['spec'] },
  )
  .map((value) => JSON.parse(JSON.stringify(value)) as unknown)

const context = contextOf({ optOuts: [{ name: 'ports', namespaces: ['shop'], allow: ['ExcludePorts'] }] })

const injected = (value: unknown) => {
  const read = readPodObject(value)
  assert(read.ok, JSON.stringify(read))
  const result = injectPod(read.value, context)
  assert(result.ok, JSON.stringify(result))
  return { bare: read.value, pod: result.value.pod }
}

describe('injectPod, for any pod', () => {
  it('changes nothing the second time, and its review finds nothing', () => {
    fc.assert(
      fc.property(pod, (value) => {
        const once = injected(value).pod
        assert.deepEqual(injected(once).pod, once)
        assert.deepEqual(reviewPod(once, context), [])
        assert.deepEqual(reviewPodChange(once, once, context), [])
      }),
    )
  })

  it('gives with other settings what those settings give to the pod as it was, but for resources', () => {
    const other = contextOf({
      settings: { image: 'other:2', trustDomain: 'other.example' as never, preStopSeconds: 3, logLevel: 'debug' },
      optOuts: [{ name: 'ports', namespaces: ['shop'], allow: ['ExcludePorts'] }],
    })
    fc.assert(
      fc.property(pod, (value) => {
        const { bare, pod: first } = injected(value)
        assert.deepEqual(injectPod(first, other), injectPod(bare, other))
      }),
    )
  })

  it('is taken back whole, but for the pause and the spelling of probes', () => {
    fc.assert(
      fc.property(pod, (value) => {
        const { bare, pod: once } = injected(value)
        const { pod: restored, issues } = restorePod(once)
        assert.deepEqual(issues, [])
        const shape = ({ metadata = {}, spec }: PodObject) => ({
          annotations: metadata.annotations ?? {},
          init: (spec.initContainers ?? []).map((each) => each.name),
          images: spec.containers.map(({ image }) => image),
          volumes: spec.volumes ?? [],
        })
        assert.deepEqual(shape(restored), shape(bare))
      }),
    )
  })

  it('is reached from the pod by its JSON patch', () => {
    fc.assert(
      fc.property(pod, (value) => {
        const { bare, pod: once } = injected(value)
        assert.deepEqual(applyPatch(bare, jsonPatch(bare, once)), once)
      }),
    )
  })
})
