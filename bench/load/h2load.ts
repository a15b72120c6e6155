import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Figures, type Stage, VoidRound, type Work } from '../scenario.ts'
import { checkAnswers } from './check.ts'
import { GRPC_MESSAGE, probeGrpc, probeHttp2 } from './http2-probe.ts'
import { measureSteady } from './steady.ts'
import { HTTP2_ALPN } from './tools.ts'

/** Requests over HTTP/2 with a client certificate, as many streams at once on each connection. */
export interface Http2Load {
  readonly connections: number
  readonly streams: number
  readonly path: string
  /** Unary calls with a message each, to the backend for that. */
  readonly isGrpc?: boolean
}

/** Seconds beyond those of load after which h2load is ended. */
const MOST_LEFT = 2

export function http2Loop(load: Http2Load): Work {
  const { isGrpc = false } = load
  return {
    programs: ['h2load', 'gcc', 'taskset', 'nginx'],
    async check(stage) {
      return (await checkAnswers(stage, load, isGrpc ? GRPC : HTTP2)).tls
    },
    measure: (stage, seconds) => measureHttp2(stage, seconds, load),
  }
}

const HTTP2 = { probe: probeHttp2 }
const GRPC = { probe: probeGrpc, body: GRPC_MESSAGE.toString('latin1') }

async function measureHttp2(stage: Stage, seconds: number, load: Http2Load): Promise<Figures> {
  const { world, contestant, peer, directory, tools } = stage
  const { connections, streams, path, isGrpc = false } = load
  const answered = isGrpc ? (await world.grpc()).answered : world.backend.answered
  const message = join(directory, 'message.bin')
  await writeFile(message, GRPC_MESSAGE)
  const fields = [
    ...(contestant.tokens === 0 ? [] : [`authorization: Bearer ${world.tokens.valid[0]}`]),
    ...(isGrpc ? ['content-type: application/grpc', 'te: trailers'] : []),
  ]
  const before = await answered()
  let succeeded = 0
  const figures = await measureSteady(
    stage,
    seconds,
    async (allSeconds) => {
      const output = await tools.run(
        [
          ...['h2load', '-t', '1', '-c', String(connections), '-m', String(streams), '-D', String(allSeconds)],
          ...fields.flatMap((field) => ['-H', field]),
          ...(isGrpc ? ['-d', message] : []),
          `https://127.0.0.1:${peer.port}${path}`,
        ],
        { alpn: HTTP2_ALPN },
      )
      succeeded = readReport(output, contestant.name)
    },
    answered,
  )
  // A call of gRPC that was refused has status 200 too: the backend knows better.
  const reached = (await answered()) - before
  const most = connections * streams * MOST_LEFT
  if (reached < succeeded || reached > succeeded + most) {
    throw new VoidRound(`${contestant.name}: the backend answered ${reached}, and ${succeeded} answers came`)
  }
  return figures
}

/** How many answers came. Those that were under way when the time was over are in none of the counts. */
function readReport(output: string, name: string): number {
  const requests = /^requests: .* (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout$/m.exec(
    output,
  )
  const codes = /^status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx$/m.exec(output)
  if (requests === null || codes === null) throw new Error(`h2load reported nothing:\n${output}`)
  const [, , succeeded, failed] = requests.map(Number)
  const [, good] = codes.map(Number)
  const [, , , , errored, timeout] = requests.map(Number)
  if (failed !== 0 || errored !== 0 || timeout !== 0 || good === 0) {
    throw new VoidRound(`${name}: ${requests[0]}; ${codes[0]}`)
  }
  if (Number(codes[2]) + Number(codes[3]) + Number(codes[4]) > 0) throw new VoidRound(`${name}: ${codes[0]}`)
  return succeeded ?? 0
}
