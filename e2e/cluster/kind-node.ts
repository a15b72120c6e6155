import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { until } from '../world/until.ts'
import type { Kubectl } from './kubectl.ts'

const exec = promisify(execFile)

/** A node of kind: a container of Docker, in which programs can be run. */
export interface KindNode {
  readonly name: string
  run(...command: readonly string[]): Promise<string>
}

/** The node that the API server and its etcd run on. */
export async function controlPlaneNode(kubectl: Kubectl): Promise<KindNode> {
  const [node] = await kubectl.list(['nodes', '-l', 'node-role.kubernetes.io/control-plane'])
  return kindNode(String(node?.metadata.name))
}

export function kindNode(name: string): KindNode {
  return {
    name,
    run: async (...command) => (await exec('docker', ['exec', name, ...command], { timeout: 60_000 })).stdout.trim(),
  }
}

/** Throws away what etcd remembers of former states: whoever watches from one is told 410. */
export async function compactEtcd({ run }: KindNode): Promise<void> {
  const pki = '/etc/kubernetes/pki/etcd'
  const ask = async (path: string, body: object) => {
    const tls = ['--cacert', `${pki}/ca.crt`, '--cert', `${pki}/server.crt`, '--key', `${pki}/server.key`]
    const said = await run('curl', '-sSf', ...tls, `https://127.0.0.1:2379/v3/${path}`, '-d', JSON.stringify(body))
    return JSON.parse(said) as { readonly header: { readonly revision: string } }
  }
  const { header } = await ask('maintenance/status', {})
  await ask('kv/compaction', { revision: header.revision })
}

/** Ends the API server and waits until its successor answers: what it remembered for watches is gone. */
export async function restartApiServer(kubectl: Kubectl, node: KindNode): Promise<void> {
  await replaceApiServer(kubectl, node, async (id) => void (await node.run('crictl', 'stop', '--timeout', '5', id)))
}

const MANIFEST = '/etc/kubernetes/manifests/kube-apiserver.yaml'
/** Not beside it: the kubelet would run that too. */
const MANIFEST_BEFORE = '/var/tmp/kube-apiserver.before.yaml'

/** Gives the API server an argument more, and returns how to take it away again. Each waits until it answers. */
export async function withApiServerArgument(
  kubectl: Kubectl,
  node: KindNode,
  argument: string,
): Promise<() => Promise<void>> {
  const { run } = node
  await run('cp', MANIFEST, MANIFEST_BEFORE)
  await replaceApiServer(kubectl, node, async () => {
    await run('sed', '-i', `s#^    - kube-apiserver$#&\\n    - ${argument}#`, MANIFEST)
  })
  return () => replaceApiServer(kubectl, node, async () => void (await run('mv', MANIFEST_BEFORE, MANIFEST)))
}

/** Ends the API server and waits until it is gone. Returns how to start it again, which waits until it answers. */
export async function stopApiServer(kubectl: Kubectl, node: KindNode): Promise<() => Promise<void>> {
  const { run } = node
  await run('mv', MANIFEST, MANIFEST_BEFORE)
  await until('no API server runs', async () => (await runningApiServer(node)) === '', {
    withinMs: REPLACED_WITHIN_MS,
    everyMs: 500,
  })
  return async () => {
    await run('mv', MANIFEST_BEFORE, MANIFEST)
    await until(
      'the API server answers again',
      async () => (await runningApiServer(node)) !== '' && (await isReady(kubectl)),
      { withinMs: REPLACED_WITHIN_MS, everyMs: 250 },
    )
  }
}

/** A file below a directory that the API server sees, of the name given; the directory is made. */
export async function writeForApiServer({ run }: KindNode, path: string, text: string): Promise<void> {
  const encoded = Buffer.from(text).toString('base64')
  await run('sh', '-c', `umask 077 && mkdir -p "$(dirname ${path})" && echo ${encoded} | base64 -d > ${path}`)
}

/** How long an API server may take to be replaced: a machine with two cores has all of its clients to answer as well. */
const REPLACED_WITHIN_MS = 180_000

async function replaceApiServer(kubectl: Kubectl, node: KindNode, act: (id: string) => Promise<void>): Promise<void> {
  const before = await runningApiServer(node)
  await act(before)
  const isReplaced = async () => ![before, ''].includes(await runningApiServer(node)) && (await isReady(kubectl))
  await until('another API server answers', isReplaced, { withinMs: REPLACED_WITHIN_MS, everyMs: 500 })
}

/** Its container; empty: none. */
function runningApiServer({ run }: KindNode): Promise<string> {
  return run('crictl', 'ps', '--name', 'kube-apiserver', '--state', 'Running', '--quiet')
}

function isReady(kubectl: Kubectl): Promise<boolean> {
  return kubectl.run(['get', '--raw', '/readyz'], { timeoutMs: 3_000 }).then(
    () => true,
    () => false,
  )
}
