import { authority, PASSED, type ProbeOutcome, type ProbeTarget, unanswered } from './outcome.ts'

/** Bytes of an answer at most; a healthy one has seven. */
const MAX_ANSWER_BYTES = 10_240
/** `HealthCheckResponse.ServingStatus.SERVING`. */
const SERVING = 1
const PREFIX_BYTES = 5

/** A call of `grpc.health.v1.Health/Check` in plaintext HTTP/2 with prior knowledge, as the kubelet does it. */
export async function probeGrpc(
  { port, service }: { readonly port: number; readonly service: string },
  { host, userAgent, signal }: ProbeTarget,
): Promise<ProbeOutcome> {
  // 600 KB of memory, for the few pods that have such a probe.
  const { connect } = await import('node:http2')
  return new Promise((resolve) => {
    const session = connect(`http://${authority(host, port)}`)
    const settle = (outcome: ProbeOutcome) => {
      signal.removeEventListener('abort', onAbort)
      session.destroy()
      resolve(outcome)
    }
    const onAbort = () => settle(unanswered(signal.reason))
    signal.addEventListener('abort', onAbort, { once: true })
    session.on('error', (error) => settle(unanswered(error)))

    const stream = session.request({
      ':method': 'POST',
      ':path': '/grpc.health.v1.Health/Check',
      'content-type': 'application/grpc',
      'user-agent': userAgent,
      te: 'trailers',
    })
    const chunks: Buffer[] = []
    let total = 0
    let status: unknown
    let grpcStatus: unknown
    stream.on('response', (headers) => {
      status = headers[':status']
      grpcStatus = headers['grpc-status']
    })
    stream.on('trailers', (trailers) => {
      grpcStatus = trailers['grpc-status'] ?? grpcStatus
    })
    stream.on('data', (chunk: Buffer) => {
      total += chunk.length
      if (total > MAX_ANSWER_BYTES) settle(failed('answered too much'))
      else chunks.push(chunk)
    })
    stream.on('error', (error) => settle(unanswered(error)))
    stream.once('end', () => settle(judge(status, grpcStatus, Buffer.concat(chunks, total))))
    stream.end(healthCheckRequest(service))
  })
}

function judge(status: unknown, grpcStatus: unknown, answer: Buffer): ProbeOutcome {
  if (status !== 200) return failed(`answered ${status} over HTTP`)
  if (grpcStatus !== '0') return failed(`answered grpc-status ${typeof grpcStatus === 'string' ? grpcStatus : 'none'}`)
  const serving = servingStatus(answer)
  return serving === SERVING ? PASSED : failed(`is not serving (status ${serving ?? 'unreadable'})`)
}

function failed(reason: string): ProbeOutcome {
  return { outcome: 'failed', status: 503, reason }
}

/** `HealthCheckRequest { string service = 1 }` in a length-prefixed message. An empty service is left out, as proto3 does. */
export function healthCheckRequest(service: string): Buffer {
  const name = Buffer.from(service, 'utf8')
  const field = name.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a, ...varint(name.length)]), name])
  const prefix = Buffer.alloc(PREFIX_BYTES)
  prefix.writeUInt32BE(field.length, 1)
  return Buffer.concat([prefix, field])
}

/** `HealthCheckResponse { ServingStatus status = 1 }`; undefined for what is none. */
export function servingStatus(answer: Buffer): number | undefined {
  if (answer.length < PREFIX_BYTES || answer[0] !== 0 || answer.readUInt32BE(1) !== answer.length - PREFIX_BYTES) {
    return undefined
  }
  const reader = { at: PREFIX_BYTES }
  let status = 0
  while (reader.at < answer.length) {
    const tag = readVarint(answer, reader)
    const value = readVarint(answer, reader)
    if (tag === undefined || value === undefined) return undefined
    if ((tag & 7) === 0) {
      if (tag >> 3 === 1) status = value
    } else if ((tag & 7) === 2) {
      reader.at += value
    } else {
      return undefined
    }
  }
  return reader.at === answer.length ? status : undefined
}

function varint(value: number): readonly number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)]
}

/** Of at most 28 bits: neither a tag nor a length nor a status here has more. */
function readVarint(bytes: Buffer, reader: { at: number }): number | undefined {
  let value = 0
  for (let shift = 0; shift < 28; shift += 7) {
    const octet = bytes[reader.at]
    if (octet === undefined) return undefined
    reader.at += 1
    value |= (octet & 127) << shift
    if (octet < 128) return value
  }
  return undefined
}
