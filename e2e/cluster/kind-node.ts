import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
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
export async function restartApiServer(kubectl: Kubectl, { run }: KindNode): Promise<void> {
  const id = async () => run('crictl', 'ps', '--name', 'kube-apiserver', '--quiet')
  const before = await id()
  await run('crictl', 'stop', '--timeout', '5', before)
  const deadline = performance.now() + 120_000
  for (;;) {
    const isBack = await kubectl.run(['get', '--raw', '/readyz'], { timeoutMs: 3_000 }).then(
      async () => ![before, ''].includes(await id()),
      () => false,
    )
    if (isBack) return
    if (performance.now() > deadline) throw new Error('the API server did not come back within 120 s')
    await new Promise((resolve) => setTimeout(resolve, 500))
  }
}
