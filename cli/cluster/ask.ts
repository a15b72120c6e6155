import { SYSTEM_NAMESPACE } from '../../operator/translate/gateways.ts'
import { printable } from '../printable.ts'
import type { Cluster } from './cluster.ts'
import { ExecError } from './exec.ts'

/** The body of an answer, or one sentence on why there is none. */
export type Asked = { readonly ok: true; readonly body: string } | { readonly ok: false; readonly why: string }

/** How often a program is started before it counts as silent: what has much to do may be late once. */
const ATTEMPTS = 2

/** A pod, and the container of it that is asked. */
export interface AskedPod {
  readonly namespace: string
  readonly name: string
  readonly container: string
}

/** The container of an operator's pod. */
export const OPERATOR_CONTAINER = 'operator'

/**
 * Asks a sidecar or gateway for a path of its admin port (`/config`, `/identity`, `/metrics`, ...). Who may run programs in
 * its container may ask: its token never leaves the pod.
 */
export function askSidecar(cluster: Cluster, { namespace, name, container }: AskedPod, path: string): Promise<Asked> {
  return ask(cluster, { namespace, pod: name, container }, '/app/hauberk-sidecar.mjs', path)
}

/** Asks an operator for a path of its admin port (`/status`, `/readyz`, ...). */
export function askOperator(cluster: Cluster, pod: string, path: string): Promise<Asked> {
  const target = { namespace: SYSTEM_NAMESPACE, pod, container: OPERATOR_CONTAINER }
  return ask(cluster, target, '/app/hauberk-operator.mjs', path)
}

async function ask(
  { exec }: Cluster,
  target: Parameters<Cluster['exec']>[0],
  program: string,
  path: string,
): Promise<Asked> {
  for (let attempt = 1; ; attempt++) {
    try {
      const { exitCode, stdout, stderr } = await exec(target, ['node', program, 'ask', path])
      if (exitCode === 0) return { ok: true, body: stdout }
      return { ok: false, why: printable(reasonIn(stderr) ?? `exit code ${exitCode}`) }
    } catch (error) {
      if (!(error instanceof ExecError)) throw error
      if (!error.isPassing || attempt === ATTEMPTS) return { ok: false, why: error.message }
    }
  }
}

/** The sentence of an error: of a JSON answer its `error`, else the first line, without what Node itself warns of. */
function reasonIn(stderr: string): string | undefined {
  const said = stderr.split('\n').find((line) => line.trim() !== '' && !/^\((?:node:|Use `node)/.test(line))
  const json = /^\{"error":"([^"]+)"\}$/.exec(said ?? '')?.[1]
  return json ?? said?.replace(/^Error: /, '').trim()
}

/** The answer as JSON; what is none counts as no answer. `T` is what the caller expects; nothing checks it. */
export function parseAsked<T>(asked: Asked): { readonly ok: true; readonly value: T } | Extract<Asked, { ok: false }> {
  if (!asked.ok) return asked
  try {
    return { ok: true, value: JSON.parse(asked.body) as T }
  } catch {
    return { ok: false, why: 'what it says is not JSON' }
  }
}
