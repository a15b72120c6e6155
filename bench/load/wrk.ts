import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Figures, type Program, type Stage, VoidRound, type Work } from '../scenario.ts'
import type { KeyAndChain } from '../world/certificates.ts'
import { checkAnswers } from './check.ts'
import { measureSteady } from './steady.ts'
import { HTTP1_ALPN, type Tools } from './tools.ts'

/** What wrk does: requests over HTTP/1.1, with a client certificate unless `isPlain`. */
export interface Load {
  readonly connections: number
  /** As it stands in the request line. */
  readonly path: string
  /** Octets of a POST; absent: GET. */
  readonly postBytes?: number
  /** A new connection, and so a full handshake, for each request. */
  readonly isFresh?: boolean
  /** No TLS: the first hop is on the same machine. */
  readonly isPlain?: boolean
  readonly headers?: Readonly<Record<string, string>>
  /**
   * Milliseconds that a connection waits between an answer and its next request: about `connections / pauseMs` requests
   * per millisecond then, the same for everybody who can keep up. Absent: as fast as answers come.
   */
  readonly pauseMs?: number
  /** Requests that the backend counts for one. Default: 1. */
  readonly countedTwice?: boolean
}

export const WRK_PROGRAMS: readonly Program[] = ['wrk', 'gcc', 'taskset', 'nginx']

/** What wrk saw of one round. */
export interface Generated {
  readonly requests: number
  readonly bytes: number
  readonly durationS: number
  /** Answers of 400 and above; the others are held against `bytes`. */
  readonly refused: number
  /** Connections that failed, and reads, writes and answers that did not come. */
  readonly broken: number
}

/** The closed loop: as many requests as answers come, on kept-alive connections. */
export function closedLoop(load: Load): Work {
  return {
    programs: WRK_PROGRAMS,
    async check(stage) {
      const { tls } = await checkAnswers(stage, load)
      return load.isPlain ? undefined : tls
    },
    measure: (stage, seconds) => measureClosedLoop(stage, seconds, load),
  }
}

async function measureClosedLoop(stage: Stage, seconds: number, load: Load): Promise<Figures> {
  const { world, tools, contestant, peer, directory } = stage
  const { name, tokens } = contestant
  const answer = await checkAnswers({ ...stage, contestant: { ...contestant, refuses: [] } }, load)
  const answered = load.countedTwice
    ? async () => Math.floor((await world.backend.answered()) / 2)
    : world.backend.answered
  const from = offsets.get(stage.directory) ?? 0
  return measureSteady(
    stage,
    seconds,
    async (allSeconds) => {
      const generated = await wrk(tools, {
        directory,
        port: peer.port,
        load,
        seconds: allSeconds,
        tokenFile: await tools.tokenFile(tokens),
        from,
      })
      const { requests, bytes, refused, broken } = generated
      offsets.set(stage.directory, from + requests)
      if (refused > 0 || broken > 0) throw new VoidRound(`${name}: ${refused} refused, ${broken} broken of ${requests}`)
      if (requests === 0) throw new VoidRound(`${name}: no request was answered`)
      // What is under way at the end is counted in octets already and not yet as an answer.
      const excess = bytes - requests * answer.bytes
      if (excess < 0 || excess > load.connections * answer.bytes) {
        throw new VoidRound(`${name}: ${bytes} octets are not ${requests} answers of ${answer.bytes}`)
      }
    },
    answered,
  )
}

/** Where each contestant goes on in the list of tokens, by its directory. */
const offsets = new Map<string, number>()

export interface WrkRun {
  /** Of the script. */
  readonly directory: string
  readonly port: number
  readonly load: Load
  readonly seconds: number
  /** One a line, sent in turn from number `from`. */
  readonly tokenFile: string | undefined
  readonly from?: number
  readonly as?: KeyAndChain
}

/** What takes longer counts as broken. */
const ANSWER_TIME = '10s'

/** One run of wrk, with one thread: it has one core. */
export async function wrk(
  tools: Tools,
  { directory, port, load, seconds, tokenFile, from = 0, as }: WrkRun,
): Promise<Generated> {
  const { connections, isPlain = false } = load
  const script = join(directory, 'wrk.lua')
  await writeFile(script, scriptFor(load, tokenFile, from), { mode: 0o600 })
  const stdout = await tools.run(
    [
      ...['wrk', '-t', '1', '-c', String(connections), '-d', `${Math.ceil(seconds)}s`, '--timeout', ANSWER_TIME],
      ...['-s', script, `${isPlain ? 'http' : 'https'}://127.0.0.1:${port}/`],
    ],
    { alpn: HTTP1_ALPN, ...(as !== undefined && { as }) },
  )
  return readReport(stdout)
}

/** All requests are made before the first is sent, so that making them costs the generator nothing. */
function scriptFor(
  { path, postBytes, isFresh, headers = {}, pauseMs }: Load,
  tokenFile: string | undefined,
  from: number,
): string {
  const fields = { ...headers, ...(isFresh && { Connection: 'close' }) }
  return `${pauseMs === undefined ? '' : `function delay() return ${pauseMs} end`}
local requests, at = {}, 0
local function add(token)
  local headers = { Host = wrk.headers["Host"] }
${Object.entries(fields)
  .map(([name, value]) => `  headers["${name}"] = "${value}"`)
  .join('\n')}
  if token then headers["Authorization"] = "Bearer " .. token end
  requests[#requests + 1] = wrk.format("${postBytes === undefined ? 'GET' : 'POST'}", "${path}", headers, ${
    postBytes === undefined ? 'nil' : `string.rep("hauberk ", ${postBytes / 8})`
  })
end
function init()
${tokenFile === undefined ? '  add(nil)' : `  for token in io.lines("${tokenFile}") do add(token) end`}
  at = ${from} % #requests
end
function request()
  at = at % #requests + 1
  return requests[at]
end
function done(summary)
  local e = summary.errors
  io.write(string.format('\\n${MARK}{"requests":%d,"bytes":%d,"durationS":%f,"refused":%d,"broken":%d}\\n',
    summary.requests, summary.bytes, summary.duration / 1e6, e.status, e.connect + e.read + e.write + e.timeout))
end
`
}

const MARK = 'bench-report '

function readReport(output: string): Generated {
  const line = output.split('\n').find((candidate) => candidate.startsWith(MARK))
  if (line === undefined) throw new Error(`wrk reported nothing:\n${output}`)
  return JSON.parse(line.slice(MARK.length)) as Generated
}
