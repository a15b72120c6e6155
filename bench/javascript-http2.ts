/** What the HTTP/2 rows of `javascript.ts` send and answer: what h2load writes, octet for octet but for ports and names. */
import type { Clock } from '../runtime/clock.ts'
import {
  ACK,
  DATA,
  END_HEADERS,
  END_STREAM,
  FRAME_HEAD_BYTES,
  HEADERS,
  INITIAL_WINDOW_SIZE,
  PREFACE,
  SETTINGS,
  WINDOW_UPDATE,
  writeFrameHead,
  writeUint32,
} from '../sidecar/serve/http2/frame.ts'
import { HUFFMAN_CODES } from '../sidecar/serve/http2/huffman.ts'
import type { Connected } from '../sidecar/upstream/connect.ts'
import { UpstreamConnection } from '../sidecar/upstream/connection.ts'
import type { Deadlines } from '../sidecar/upstream/deadlines.ts'
import { Http2Upstream } from '../sidecar/upstream/http2-upstream.ts'
import { EndpointPool, type PoolDeps } from '../sidecar/upstream/pool.ts'
import { GRPC_MESSAGE } from './load/http2-probe.ts'

/** h2load's own settings: windows that hold nothing up. */
const WINDOW_BYTES = 2 ** 30 - 1

/** The client's end of one connection: as many requests at once, again and again. */
export class Http2Caller {
  readonly #first: Buffer
  readonly #requests: Buffer
  /** Where in that the head of a frame is. */
  readonly #frames: readonly number[]
  readonly #framesPerRequest: number
  #nextId = 1

  constructor(streams: number, token: string | undefined, isGrpc: boolean) {
    const section = (isFirst: boolean) =>
      Buffer.concat([
        indexed(isGrpc ? 3 : 2),
        literal(4, isGrpc ? '/bench.Echo/Say' : '/orders/1', 'without'),
        indexed(7),
        ...(isFirst
          ? [literal(1, '127.0.0.1:12345', 'add'), literal(58, 'h2load nghttp2/1.52.0', 'add')]
          : [indexed(isGrpc ? 65 : 63), indexed(isGrpc ? 64 : 62)]),
        ...(token === undefined ? [] : [literal(23, `Bearer ${token}`, 'never')]),
        ...(!isGrpc
          ? []
          : [
              ...(isFirst
                ? [literal(31, 'application/grpc', 'add'), literal('te', 'trailers', 'add')]
                : [indexed(63), indexed(62)]),
              literal(28, String(GRPC_MESSAGE.length), 'without'),
            ]),
      ])
    const request = (isFirst: boolean) => [
      frame(HEADERS, END_HEADERS | (isGrpc ? 0 : END_STREAM), 0, section(isFirst)),
      ...(isGrpc ? [frame(DATA, END_STREAM, 0, GRPC_MESSAGE)] : []),
    ]
    this.#first = Buffer.concat([PREFACE, beginning(), ...request(true)])
    writeUint32(this.#first, PREFACE.length + beginning().length + FRAME_HEAD_BYTES - 4, 1)
    if (isGrpc) writeUint32(this.#first, this.#first.length - GRPC_MESSAGE.length - 4, 1)
    const frames = Array.from({ length: streams }, () => request(false)).flat()
    this.#framesPerRequest = frames.length / streams
    this.#frames = starts(frames)
    this.#requests = Buffer.concat(frames)
  }

  /** The first request alone, which fills the tables, and what goes before it. */
  begin(): Buffer {
    this.#nextId = 3
    return this.#first
  }

  /** As many requests as there are streams; to be used up before the next. */
  next(): Buffer {
    for (let index = 0; index < this.#frames.length; index++) {
      const id = this.#nextId + 2 * Math.floor(index / this.#framesPerRequest)
      writeUint32(this.#requests, this.#frames[index]! + FRAME_HEAD_BYTES - 4, id)
    }
    this.#nextId += 2 * (this.#frames.length / this.#framesPerRequest)
    return this.#requests
  }
}

/** The application's end of one session: a unary answer to each call. */
export class GrpcApp {
  readonly #first: Buffer
  readonly #answer: Buffer
  readonly #frames: readonly number[]
  #nextId = 1

  constructor() {
    const answer = (isFirst: boolean) => [
      frame(
        HEADERS,
        END_HEADERS,
        0,
        Buffer.concat([
          indexed(8),
          ...(isFirst
            ? [literal(31, 'application/grpc', 'add'), literal(33, 'Sun, 22 Nov 2026 22:10:45 GMT', 'add')]
            : [indexed(65), indexed(64)]),
        ]),
      ),
      frame(DATA, 0, 0, GRPC_MESSAGE),
      frame(
        HEADERS,
        END_HEADERS | END_STREAM,
        0,
        Buffer.concat(
          isFirst
            ? [literal('grpc-status', '0', 'add'), literal('grpc-message', '', 'add')]
            : [indexed(63), indexed(62)],
        ),
      ),
    ]
    this.#first = Buffer.concat(answer(true))
    for (const start of starts(answer(true))) writeUint32(this.#first, start + FRAME_HEAD_BYTES - 4, 1)
    this.#frames = starts(answer(false))
    this.#answer = Buffer.concat(answer(false))
  }

  /** What comes before any answer. */
  begin(): Buffer {
    return beginning()
  }

  /** Writes answers to the next `count` calls into `out`. Returns where they end. */
  next(count: number, out: Buffer): number {
    let at = windowUpdate(count * GRPC_MESSAGE.length).copy(out)
    let call = 0
    if (this.#nextId === 1) {
      at += this.#first.copy(out, at)
      this.#nextId = 3
      call = 1
    }
    for (; call < count; call++) {
      this.#answer.copy(out, at)
      for (const start of this.#frames) writeUint32(out, at + start + FRAME_HEAD_BYTES - 4, this.#nextId)
      this.#nextId += 2
      at += this.#answer.length
    }
    return at
  }
}

/** An endpoint with one session that is there already. */
export class SessionedPool extends EndpointPool {
  readonly upstream: Http2Upstream
  readonly connection: UpstreamConnection

  constructor(connected: Connected, deps: PoolDeps, clock: Clock, deadlines: Deadlines) {
    super({ kind: 'plain', host: '127.0.0.1', port: 9, speaks: 'http2' }, deps)
    this.connection = new UpstreamConnection(connected, Number.POSITIVE_INFINITY, this)
    const owner = { onReady() {}, onIdle() {}, onRoom() {}, onLeaving() {} }
    this.upstream = new Http2Upstream(this.connection, owner, clock, deadlines)
  }

  override takeStream() {
    return this.upstream.open()
  }
}

function beginning(): Buffer {
  return Buffer.concat([
    frame(SETTINGS, 0, 0, Buffer.concat([Buffer.from([0, INITIAL_WINDOW_SIZE]), uint32(WINDOW_BYTES)])),
    frame(SETTINGS, ACK, 0),
    frame(WINDOW_UPDATE, 0, 0, uint32(WINDOW_BYTES)),
  ])
}

/** As many octets more on the connection. */
export function windowUpdate(increment: number): Buffer {
  return frame(WINDOW_UPDATE, 0, 0, uint32(increment))
}

function starts(frames: readonly Buffer[]): readonly number[] {
  let at = 0
  return frames.map(({ length }) => {
    at += length
    return at - length
  })
}

const KINDS = { add: [0x40, 0x3f], without: [0, 0x0f], never: [0x10, 0x0f] } as const

/** `name` is text, or where it stands in the static table (RFC 7541, 6.2). */
function literal(name: string | number, value: string, indexing: keyof typeof KINDS): Buffer {
  const [kind, mask] = KINDS[indexing]
  const named = typeof name === 'number' ? integer(kind, mask, name) : Buffer.concat([Buffer.from([kind]), text(name)])
  return Buffer.concat([named, text(value)])
}

function indexed(index: number): Buffer {
  return integer(0x80, 0x7f, index)
}

/** In the Huffman code where that is shorter, as nghttp2 does it. */
function text(value: string): Buffer {
  const octets = Buffer.from(value, 'latin1')
  const coded = encodeHuffman(octets)
  return coded.length < octets.length
    ? Buffer.concat([integer(0x80, 0x7f, coded.length), coded])
    : Buffer.concat([integer(0, 0x7f, octets.length), octets])
}

/** RFC 7541, 5.1. */
function integer(kind: number, mask: number, value: number): Buffer {
  if (value < mask) return Buffer.from([kind | value])
  const octets = [kind | mask]
  let rest = value - mask
  for (; rest >= 0x80; rest >>>= 7) octets.push((rest & 0x7f) | 0x80)
  return Buffer.from([...octets, rest])
}

function encodeHuffman(octets: Buffer): Buffer {
  let bits = ''
  for (const octet of octets) {
    const code = HUFFMAN_CODES[octet]!
    bits += code.bits.toString(2).padStart(code.length, '0')
  }
  bits = bits.padEnd(Math.ceil(bits.length / 8) * 8, '1')
  return Buffer.from(bits.match(/.{8}/g)?.map((octet) => Number.parseInt(octet, 2)) ?? [])
}

function frame(type: number, flags: number, id: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const bytes = Buffer.alloc(FRAME_HEAD_BYTES + payload.length)
  bytes.set(payload, writeFrameHead(bytes, 0, payload.length, type, flags, id))
  return bytes
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  writeUint32(bytes, 0, value)
  return bytes
}
