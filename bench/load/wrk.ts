import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Load } from '../scenario.ts'
import type { World } from '../world/world.ts'

const run = promisify(execFile)

/** Programs that the generator needs. */
export const GENERATOR_PROGRAMS: readonly string[] = ['wrk', 'gcc', 'taskset']

/** What the generator saw of one round. */
export interface Generated {
  readonly requests: number
  readonly bytes: number
  readonly durationS: number
  /** Answers of 400 and above; the others are held against `bytes`. */
  readonly refused: number
  /** Connections that failed, and reads, writes and answers that did not come. */
  readonly broken: number
}

/** wrk with a client certificate. One thread: it has one core. */
export interface Generator {
  /** Puts load on a port of loopback for `seconds`, with these tokens in turn. */
  generate(port: number, load: Load, tokens: readonly string[], seconds: number): Promise<Generated>
}

export async function makeGenerator(world: World): Promise<Generator> {
  const { directory, certificates, cores } = world
  const shim = join(directory, 'client-certificate.so')
  const source = join(import.meta.dirname, 'client-certificate.c')
  await run('gcc', ['-O2', '-shared', '-fPIC', '-o', shim, source, '-lssl', '-ldl'])
  const chain = join(directory, 'client.crt')
  const key = join(directory, 'client.key')
  await writeFile(chain, certificates.client.chain)
  await writeFile(key, certificates.client.privateKey, { mode: 0o600 })
  const script = join(directory, 'wrk.lua')

  return {
    async generate(port, { connections, path, pauseMs }, tokens, seconds) {
      await writeFile(script, scriptFor(tokens, pauseMs), { mode: 0o600 })
      const { stdout } = await run(
        'taskset',
        [
          ...['-c', String(cores.rest), 'wrk', '-t', '1', '-c', String(connections), '-d', `${seconds}s`],
          ...['-s', script, `https://127.0.0.1:${port}${path}`],
        ],
        {
          env: { ...process.env, LD_PRELOAD: shim, BENCH_CHAIN: chain, BENCH_KEY: key, BENCH_ALPN: wire(OFFERED_ALPN) },
        },
      )
      return readReport(stdout)
    },
  }
}

/** What the generator offers: ours, and what others know. */
export const OFFERED_ALPN: readonly string[] = ['hauberk/http1', 'http/1.1']

function wire(names: readonly string[]): string {
  return names.map((name) => String.fromCharCode(name.length) + name).join('')
}

/** All requests are made before the first is sent, so that making them costs the generator nothing. */
function scriptFor(tokens: readonly string[], pauseMs: number | undefined): string {
  const report = `${pauseMs === undefined ? '' : `function delay() return ${pauseMs} end`}
function done(summary)
  local e = summary.errors
  io.write(string.format('\\n${MARK}{"requests":%d,"bytes":%d,"durationS":%f,"refused":%d,"broken":%d}\\n',
    summary.requests, summary.bytes, summary.duration / 1e6, e.status, e.connect + e.read + e.write + e.timeout))
end
`
  const [first] = tokens
  if (first === undefined) return report
  if (tokens.length === 1) return `wrk.headers["Authorization"] = "Bearer ${first}"\n${report}`
  return `local tokens = {
${tokens.map((token) => `"${token}"`).join(',\n')}
}
local requests, at = {}, 0
function init()
  for i, token in ipairs(tokens) do
    requests[i] = wrk.format(nil, nil, { Host = wrk.headers["Host"], Authorization = "Bearer " .. token })
  end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
${report}`
}

const MARK = 'bench-report '

function readReport(output: string): Generated {
  const line = output.split('\n').find((candidate) => candidate.startsWith(MARK))
  if (line === undefined) throw new Error(`wrk reported nothing:\n${output}`)
  return JSON.parse(line.slice(MARK.length)) as Generated
}
