import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { until } from '../world/until.ts'

/** A real Prometheus that scrapes what it is told to. */
export interface Prometheus {
  /** An instant query: the samples of its answer. Throws for an expression that it does not take. */
  query(expression: string): Promise<readonly QuerySample[]>
  /** Names of the alerts that are firing. */
  firing(): Promise<ReadonlySet<string>>
  /** Targets that were scraped without an error the last time, and all of them. */
  targets(): Promise<{ readonly up: number; readonly all: number }>
  stop(): Promise<void>
}

export interface QuerySample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** Something to scrape, on loopback. */
export interface Target {
  readonly job: string
  readonly port: number
  readonly labels: Readonly<Record<string, string>>
}

/** Why there can be no Prometheus here; undefined when there can. */
export function missingPrometheus(): string | undefined {
  try {
    execFileSync('prometheus', ['--version'], { stdio: 'ignore' })
    return undefined
  } catch {
    return 'There is no `prometheus` on PATH. On Debian and Ubuntu: apt-get install prometheus'
  }
}

export async function startPrometheus(options: {
  /** For its data and its configuration. */
  readonly directory: string
  readonly targets: readonly Target[]
  /** A file of rules. */
  readonly rules: string
}): Promise<Prometheus> {
  const { directory, targets, rules } = options
  const rulesFile = join(directory, 'rules.yaml')
  const configFile = join(directory, 'prometheus.yaml')
  const jobs = [...new Set(targets.map(({ job }) => job))]
  await writeFile(rulesFile, rules)
  await writeFile(
    configFile,
    stringify({
      global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
      rule_files: [rulesFile],
      scrape_configs: jobs.map((job) => ({
        job_name: job,
        honor_labels: true,
        static_configs: targets
          .filter((target) => target.job === job)
          .map(({ port, labels }) => ({ targets: [`127.0.0.1:${port}`], labels })),
      })),
    }),
  )
  const port = await freePort()
  const child = spawn(
    'prometheus',
    [
      ...[`--config.file=${configFile}`, `--storage.tsdb.path=${join(directory, 'data')}`],
      ...[`--web.listen-address=127.0.0.1:${port}`, '--log.level=error'],
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  )
  const ended = once(child, 'exit')
  const ask = async (path: string, parameters: Readonly<Record<string, string>> = {}): Promise<unknown> => {
    const url = `http://127.0.0.1:${port}${path}?${new URLSearchParams(parameters)}`
    const response = await fetch(url, { signal: AbortSignal.timeout(30_000) })
    const answer = (await response.json()) as {
      readonly status: string
      readonly data: unknown
      readonly error?: string
    }
    if (answer.status !== 'success') throw new Error(`${parameters['query'] ?? path}: ${answer.error}`)
    return answer.data
  }
  const stop = async () => {
    child.kill('SIGTERM')
    await ended
  }
  try {
    await until(
      'Prometheus answers',
      async () => {
        if (child.exitCode !== null) throw new Error(`prometheus ended with ${child.exitCode}`)
        return (await fetch(`http://127.0.0.1:${port}/-/ready`).catch(() => undefined))?.status === 200
      },
      { withinMs: 120_000, everyMs: 100 },
    )
  } catch (error) {
    await stop()
    throw error
  }
  return {
    async query(expression) {
      const { resultType, result } = (await ask('/api/v1/query', { query: expression })) as QueryData
      if (resultType !== 'vector') throw new Error(`${expression}: ${resultType}`)
      return result.map(({ metric, value: [, value] }) => ({ labels: metric, value: Number(value) }))
    },
    async firing() {
      const { alerts } = (await ask('/api/v1/alerts')) as { readonly alerts: readonly ActiveAlert[] }
      return new Set(alerts.filter(({ state }) => state === 'firing').map(({ labels }) => labels['alertname'] ?? ''))
    },
    async targets() {
      const { activeTargets } = (await ask('/api/v1/targets')) as {
        readonly activeTargets: readonly { readonly health: string }[]
      }
      return { up: activeTargets.filter(({ health }) => health === 'up').length, all: activeTargets.length }
    },
    stop,
  }
}

interface QueryData {
  readonly resultType: string
  readonly result: readonly {
    readonly metric: Readonly<Record<string, string>>
    readonly value: readonly [number, string]
  }[]
}

interface ActiveAlert {
  readonly state: string
  readonly labels: Readonly<Record<string, string>>
}

async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { readonly port: number }
  server.close()
  await once(server, 'close')
  return port
}
