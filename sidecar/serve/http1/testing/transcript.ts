import { bodyReader } from '../body.ts'
import type { BodyReader, HeadParser, RequestHead, ResponseHead } from '../message.ts'
import type { ProblemReason } from '../problem.ts'
import { type RequestHeadOptions, RequestHeadParser } from '../request-head.ts'
import { ResponseHeadParser } from '../response-head.ts'

/** All that our codec said of a stream of octets, as plain values that can be compared. */
export interface Transcript<Head> {
  readonly messages: readonly ReadMessage<Head>[]
  readonly problem: ProblemReason | undefined
  /** Octets that belong to complete messages. */
  readonly consumed: number
}

export interface ReadMessage<Head> {
  readonly head: Omit<Head, 'headers'>
  readonly headers: readonly (readonly [string, string])[]
  readonly body: string
  readonly complete: boolean
}

/** Octets as text, one character each. */
export function octets(text: string): Buffer {
  return Buffer.from(text, 'latin1')
}

/** The whole as it would come in pieces that end at `cuts`. */
export function cutAt(bytes: Buffer, cuts: Iterable<number>): Buffer[] {
  const places = [...new Set([0, ...cuts, bytes.length])].sort((a, b) => a - b)
  return places.slice(1).map((end, index) => Buffer.from(bytes.subarray(places[index], end)))
}

export function eachOctet(bytes: Buffer): Buffer[] {
  return cutAt(bytes, bytes.keys())
}

/** Reads pipelined requests until one is refused, is the last of its connection, or the octets end. */
export function readRequests(chunks: readonly Buffer[], options?: RequestHeadOptions): Transcript<RequestHead> {
  return read(
    chunks,
    new RequestHeadParser(options),
    (head) => bodyReader(head.framing, 'client'),
    (head) => !head.keepAlive,
  )
}

/** Reads the response to one request, with what interim responses come before it, until the peer closes. */
export function readResponse(
  chunks: readonly Buffer[],
  method = 'GET',
  upgrade?: 'websocket',
): Transcript<ResponseHead> {
  const parser = new ResponseHeadParser()
  parser.expect({ method, upgrade })
  return read(
    chunks,
    parser,
    (head) => bodyReader(head.framing, 'upstream'),
    (head) => !head.interim,
  )
}

function read<Head extends RequestHead | ResponseHead>(
  chunks: readonly Buffer[],
  parser: HeadParser<Head>,
  readerOf: (head: Head) => BodyReader,
  isLast: (head: Head) => boolean,
): Transcript<Head> {
  const messages: ReadMessage<Head>[] = []
  let consumed = 0
  let position = 0
  let head: Head | undefined
  let reader: BodyReader | undefined
  let body = ''
  const sink = {
    onBody(chunk: Buffer, start: number, end: number) {
      if (end <= start) throw new Error('an empty slice was handed on')
      body += chunk.toString('latin1', start, end)
    },
  }
  const done = (problem?: ProblemReason): Transcript<Head> => ({ messages, problem, consumed })
  const add = (complete: boolean) => {
    const { headers, ...rest } = head! as Head
    messages.push({ head: rest, headers: [...headers], body, complete })
  }
  for (const chunk of chunks) {
    let at = 0
    for (;;) {
      if (head === undefined) {
        const found = parser.parse(chunk, at)
        if (found === undefined) break
        if (found.kind === 'problem') return done(found.reason)
        at = parser.offset
        head = found
        reader = readerOf(found)
        body = ''
      }
      const offset = reader!.read(chunk, at, chunk.length, sink)
      if (typeof offset !== 'number') return done(offset.reason)
      at = offset
      if (!reader!.done) break
      add(true)
      consumed = position + at
      if (isLast(head)) return done()
      head = undefined
    }
    position += chunk.length
  }
  if (head === undefined) return done(parser.close()?.reason)
  const problem = reader!.close()
  add(problem === undefined)
  if (problem === undefined) consumed = position
  return done(problem?.reason)
}
