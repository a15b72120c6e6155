import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'

const exec = promisify(execFile)

export const CHART = resolve(import.meta.dirname, '../../charts/hauberk')
export const SYSTEM_NAMESPACE = 'hauberk-system'

/** What the tests ask of the chart besides its defaults: room for their own pods on a small machine, and a line for every decision. */
export const INSTALL_VALUES = {
  'sidecar.resources.requests.cpu': '5m',
  'operator.resources.requests.cpu': '10m',
  'sidecar.decisionLog': 'all',
} as const

export interface Helm {
  /** `helm upgrade --install --wait`, in hauberk-system. Rejects with what helm said. */
  install(values?: Readonly<Record<string, string>>, chart?: string): Promise<string>
  uninstall(): Promise<string>
  /** To the revision before. */
  rollback(): Promise<string>
  /** Runs the tests of the release. */
  test(): Promise<string>
}

const RELEASE = 'hauberk'

export function openHelm(context: string): Helm {
  const run = async (...args: readonly string[]) => {
    try {
      const { stdout } = await exec('helm', ['--kube-context', context, '-n', SYSTEM_NAMESPACE, ...args], {
        timeout: 300_000,
      })
      return stdout
    } catch (error) {
      const { stderr = '', stdout = '', message } = error as Error & { stderr?: string; stdout?: string }
      throw new Error(`helm ${args.join(' ')}: ${stderr.trim() || message}\n${stdout}`, { cause: error })
    }
  }
  return {
    install: (values = {}, chart = CHART) =>
      run(
        ...['upgrade', '--install', RELEASE, chart, '--create-namespace', '--wait', '--timeout', '240s'],
        ...Object.entries(values).flatMap(([name, value]) => ['--set', `${name}=${value}`]),
      ),
    uninstall: () => run('uninstall', RELEASE, '--wait', '--timeout', '120s'),
    rollback: () => run('rollback', RELEASE, '--wait', '--timeout', '240s'),
    test: () => run('test', RELEASE, '--timeout', '120s'),
  }
}
