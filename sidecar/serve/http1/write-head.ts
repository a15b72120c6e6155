import type { HeaderPair } from '../../../model/verdict.ts'
import { chunkLength, totalLength, writeChunk } from './chunk.ts'
import { compileHeaderFilter, type HeaderFilter, type HeaderFilterSource, HOP_BY_HOP } from './header-filter.ts'
import { type HeaderLines, MARKS_PER_LINE } from './header-lines.ts'
import { CHUNKED, type Framing, UNTIL_CLOSE } from './message.ts'
import { CR, DELETE, FOLDED_TOKEN, foldsAlike, HTAB, hashOfName, LF, SP, VISIBLE, writeLatin1 } from './octets.ts'
import { type Problem, UNWRITABLE } from './problem.ts'
import { OWN_ROOM, type Room } from './room.ts'

/** What becomes of the field lines on their way. Hop-by-hop fields and framing never pass, whatever is said here. */
export interface HeaderEdits {
  /** Received lines that are left out, in every spelling: compiled once per listener or route by {@link compileDrop}. */
  readonly drop?: DropFilter
  /** Received lines that are left out of this message, in every spelling. */
  readonly remove?: readonly string[]
  /** Lines that are written. Received lines of the same names are left out, in every spelling; `Connection` cannot name these. */
  readonly set?: readonly HeaderPair[]
  /** Lines that are written as they are. */
  readonly lines?: CheckedLines
  /** The value of `x-request-id`, a name that `drop` then has. */
  readonly requestId?: string
}

/** Field lines that passed the last gate before: for what is the same in many messages. */
export type CheckedLines = Buffer & { readonly [linesBrand]: true }

declare const linesBrand: unique symbol

/**
 * Makes lines of pairs whose names `drop` leaves out of what was received; it must be a part of the filter of every message
 * that they are written into. Undefined: one of them would split, or may not be set.
 */
export function checkLines(pairs: readonly HeaderPair[], drop: DropFilter): CheckedLines | undefined {
  let text = ''
  for (const [name, value] of pairs) {
    if (writableNames.hashOf(name) === undefined || !drop.matchesName(name) || !isFieldValue(value)) return undefined
    text += `${name}: ${value}\r\n`
  }
  return Buffer.from(text, 'latin1') as CheckedLines
}

/** A filter that holds the hop-by-hop fields besides its own. */
export type DropFilter = HeaderFilter & { readonly [dropBrand]: true }

declare const dropBrand: unique symbol

export function compileDrop(...sources: readonly HeaderFilterSource[]): DropFilter {
  return compileHeaderFilter(GENERATED, ...sources) as DropFilter
}

/** What is never taken over from the received lines. Host among them: it is written from what was normalised. */
const GENERATED = Object.freeze({ names: [...HOP_BY_HOP.names, 'host'] })
const GENERATED_NAMES = compileHeaderFilter(GENERATED)

/** What `set` cannot hold: it has a word of its own in the message. */
const OURS_ALONE = compileHeaderFilter({
  names: ['connection', 'content-length', 'host', 'keep-alive', 'trailer', 'transfer-encoding', 'upgrade'],
})

interface MessageToWrite {
  readonly headers: HeaderLines
  /** Of the head that the lines came with. */
  readonly connectionNames?: readonly string[]
  readonly edits?: HeaderEdits
  /** Written as the one framing field, whatever was received. */
  readonly framing: Framing
  /** `Connection: close`. */
  readonly close?: boolean
  readonly upgrade?: 'websocket' | undefined
}

export interface RequestToWrite extends MessageToWrite {
  readonly method: string
  /** Path and query as they were normalised; `*` for `OPTIONS *`. */
  readonly target: string
  /** The Host to send, with its port if it has one. */
  readonly host: string
}

export interface ResponseToWrite extends MessageToWrite {
  /** 100..599. */
  readonly status: number
  /** The Content-Length of a body that is not sent (HEAD, 304). */
  readonly declaredLength?: number | undefined
}

/** What of the body is there already, to go out in the same write. */
export interface FirstBody {
  readonly slices: readonly Buffer[]
  /** Whether that is all of it. */
  readonly done: boolean
}

/**
 * The head of a request to the upstream, as HTTP/1.1, and the body so far, in one Buffer.
 *
 * It is the last gate: what would split is not written, and the answer is a problem of ours.
 */
export function writeRequestHead(
  message: RequestToWrite,
  first: FirstBody = NOTHING_YET,
  room: Room = OWN_ROOM,
): Buffer | Problem {
  const { method, target, host, framing } = message
  if (!isMadeOf(method, FOLDED_TOKEN) || !isMadeOf(target, VISIBLE) || !isMadeOf(host, VISIBLE)) return UNWRITABLE
  if (framing.kind === 'until-close') return UNWRITABLE
  const pieces = [method, ' ', target, ' HTTP/1.1\r\nhost: ', host, '\r\n']
  addFraming(pieces, framing)
  return writeMessage(pieces, message, first, room)
}

/**
 * The head of a response to the client, as HTTP/1.1, and the body so far, in one Buffer. The last gate, as for requests.
 *
 * A body that is empty has the framing of length 0; `none` is for answers that cannot have one (HEAD, 1xx, 204, 304).
 */
export function writeResponseHead(
  message: ResponseToWrite,
  first: FirstBody = NOTHING_YET,
  room: Room = OWN_ROOM,
): Buffer | Problem {
  const { status, framing, declaredLength } = message
  if (!Number.isInteger(status) || status < 100 || status > 599) return UNWRITABLE
  const pieces = [statusLine(status)]
  if (status < 200 || status === 204) {
    if (framing.kind !== 'none' && !(framing.kind === 'length' && framing.bytes === 0)) return UNWRITABLE
  } else if (framing.kind !== 'none') {
    addFraming(pieces, framing)
  } else if (declaredLength !== undefined) {
    addFraming(pieces, { kind: 'length', bytes: declaredLength })
  }
  return writeMessage(pieces, message, first, room)
}

/**
 * How a response's body goes on to the client: `until-close` becomes chunked, so that a truncation shows, and for HTTP/1.0,
 * which knows no chunks, the other way round. Close the connection after `until-close`.
 */
export function framingTowards(clientMinor: 0 | 1, framing: Framing): Framing {
  if (framing.kind !== 'chunked' && framing.kind !== 'until-close') return framing
  return clientMinor === 1 ? CHUNKED : UNTIL_CLOSE
}

/** Whether a text can be a field value: nothing in it ends a line, and nothing turns into something else as latin1. */
export function isFieldValue(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code < SP ? code !== HTAB : code === DELETE || code > 0xff) return false
  }
  return true
}

const NOTHING_YET: FirstBody = Object.freeze({ slices: [], done: false })

/** `pieces` are those of the start line and the framing; they are checked already, and the rest is added to them. */
function writeMessage(pieces: string[], message: MessageToWrite, first: FirstBody, room: Room): Buffer | Problem {
  const { headers, edits, connectionNames, framing, close, upgrade } = message
  const { slices, done } = first
  const bodyLength = framing.kind === 'chunked' ? chunkLength(slices, done) : totalLength(slices)
  if (framing.kind === 'none' && bodyLength > 0) return UNWRITABLE
  if (framing.kind === 'length' && (bodyLength > framing.bytes || (done && bodyLength < framing.bytes)))
    return UNWRITABLE

  if (upgrade !== undefined) pieces.push('connection: upgrade\r\nupgrade: websocket\r\n')
  else if (close === true || framing.kind === 'until-close') pieces.push('connection: close\r\n')
  const left = new LeftOut(edits, connectionNames)
  const requestId = edits?.requestId
  if (requestId !== undefined) {
    if (!isFieldValue(requestId)) return UNWRITABLE
    pieces.push('x-request-id: ', requestId, '\r\n')
  }
  const set = edits?.set
  if (set !== undefined) {
    for (let index = 0; index < set.length; index++) {
      const name = set[index]![0]
      const value = set[index]![1]
      const hash = writableNames.hashOf(name)
      if (hash === undefined || !isFieldValue(value)) return UNWRITABLE
      left.add(name, hash)
      pieces.push(name, ': ', value, '\r\n')
    }
  }

  let runs = runsOf(headers, left)
  if (runs === undefined) {
    pieces.push(linesOf(headers, left))
    runs = NO_RUNS
  }
  const lines = edits?.lines ?? NO_LINES
  let length = lines.length + 2 + bodyLength
  for (let index = 0; index < pieces.length; index++) length += pieces[index]!.length
  for (let index = 0; index < runs.length; index += 2) length += runs[index + 1]! - runs[index]!

  const out = room.take(length)
  let at = 0
  for (let index = 0; index < pieces.length; index++) at = writeLatin1(out, pieces[index]!, at)
  at += lines.copy(out, at)
  for (let index = 0; index < runs.length; index += 2) at += headers.block.copy(out, at, runs[index]!, runs[index + 1]!)
  out[at++] = CR
  out[at++] = LF
  if (framing.kind === 'chunked') writeChunk(out, at, slices, done)
  else for (const slice of slices) at += slice.copy(out, at)
  return out
}

/** Which of the received lines one message leaves out. */
export class LeftOut {
  readonly #drop: HeaderFilter
  readonly #names: string[] = []
  readonly #hashes: number[] = []

  constructor(edits: HeaderEdits | undefined, connectionNames: readonly string[] | undefined) {
    this.#drop = edits?.drop ?? GENERATED_NAMES
    if (connectionNames !== undefined) for (const name of connectionNames) this.add(name, hashOfName(name))
    if (edits?.remove !== undefined) for (const name of edits.remove) this.add(name, hashOfName(name))
  }

  /** The filter that says all of it; undefined where this message leaves out more. */
  get filterAlone(): HeaderFilter | undefined {
    return this.#names.length === 0 ? this.#drop : undefined
  }

  has({ block, origin, marks }: HeaderLines, mark: number): boolean {
    const hash = marks[mark]!
    const start = origin + marks[mark + 1]!
    const end = origin + marks[mark + 2]!
    if (this.#drop.matches(hash, block, start, end)) return true
    const hashes = this.#hashes
    for (let index = 0; index < hashes.length; index++) {
      if (hashes[index] === hash && foldsAlike(block, start, end, this.#names[index]!)) return true
    }
    return false
  }

  add(name: string, hash: number): void {
    this.#names.push(name)
    this.#hashes.push(hash)
  }
}

/** The names that were ever set: they come from code and configuration and are the same for each message. */
export class WritableNames {
  /** Beyond these, names are judged each time. */
  static readonly MAX_REMEMBERED = 1_024

  readonly #hashes = new Map<string, number>()

  get remembered(): number {
    return this.#hashes.size
  }

  /** The hash of the folded name; undefined when it is no token, or has a word of its own in the message. */
  hashOf(name: string): number | undefined {
    const known = this.#hashes.get(name)
    if (known !== undefined) return known
    if (!isMadeOf(name, FOLDED_TOKEN) || OURS_ALONE.matchesName(name)) return undefined
    const hash = hashOfName(name)
    if (this.#hashes.size < WritableNames.MAX_REMEMBERED) this.#hashes.set(name, hash)
    return hash
  }
}

/** Those of all messages. */
export const writableNames = new WritableNames()

const NO_LINES = Buffer.alloc(0)
const NO_RUNS: readonly number[] = Object.freeze([])

/**
 * The lines that stay, as stretches of the block that are copied as they are: starts and ends in turn. Undefined when one
 * of them is not written as we would write it, `name: value`.
 */
function runsOf(headers: HeaderLines, left: LeftOut): readonly number[] | undefined {
  const { block, origin, marks } = headers
  const runs: number[] = []
  let runEnd = -1
  for (let mark = 0; mark < marks.length; mark += MARKS_PER_LINE) {
    if (left.has(headers, mark)) continue
    const nameEnd = origin + marks[mark + 2]!
    const valueEnd = origin + marks[mark + 4]!
    if (origin + marks[mark + 3]! !== nameEnd + 2 || block[nameEnd + 1] !== SP || block[valueEnd] !== CR)
      return undefined
    const start = origin + marks[mark + 1]!
    if (start === runEnd) runs[runs.length - 1] = valueEnd + 2
    else runs.push(start, valueEnd + 2)
    runEnd = valueEnd + 2
  }
  return runs
}

/** The lines that stay, written anew and in the same order. */
function linesOf(headers: HeaderLines, left: LeftOut): string {
  let text = ''
  for (let index = 0; index < headers.count; index++) {
    if (!left.has(headers, index * MARKS_PER_LINE)) text += `${headers.name(index)}: ${headers.value(index)}\r\n`
  }
  return text
}

function addFraming(pieces: string[], framing: Framing): void {
  if (framing.kind === 'length') pieces.push('content-length: ', String(framing.bytes), '\r\n')
  else if (framing.kind === 'chunked') pieces.push('transfer-encoding: chunked\r\n')
}

/** Whether every character is in the table, and there is one. */
export function isMadeOf(text: string, table: Uint8Array): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code > 0xff || table[code] === 0) return false
  }
  return text.length > 0
}

/** By status; made when it is first used, and there are no more than 500. */
const statusLines: (string | undefined)[] = new Array(600).fill(undefined)

function statusLine(status: number): string {
  statusLines[status] ??= `HTTP/1.1 ${status} ${REASONS[status] ?? ''}\r\n`
  return statusLines[status]
}

/** RFC 9110, 15, and what else is met in practice. The reason phrase may be empty. */
const REASONS: Readonly<Record<number, string>> = {
  100: 'Continue',
  101: 'Switching Protocols',
  103: 'Early Hints',
  200: 'OK',
  201: 'Created',
  202: 'Accepted',
  203: 'Non-Authoritative Information',
  204: 'No Content',
  205: 'Reset Content',
  206: 'Partial Content',
  207: 'Multi-Status',
  300: 'Multiple Choices',
  301: 'Moved Permanently',
  302: 'Found',
  303: 'See Other',
  304: 'Not Modified',
  307: 'Temporary Redirect',
  308: 'Permanent Redirect',
  400: 'Bad Request',
  401: 'Unauthorized',
  402: 'Payment Required',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  406: 'Not Acceptable',
  407: 'Proxy Authentication Required',
  408: 'Request Timeout',
  409: 'Conflict',
  410: 'Gone',
  411: 'Length Required',
  412: 'Precondition Failed',
  413: 'Content Too Large',
  414: 'URI Too Long',
  415: 'Unsupported Media Type',
  416: 'Range Not Satisfiable',
  417: 'Expectation Failed',
  421: 'Misdirected Request',
  422: 'Unprocessable Content',
  423: 'Locked',
  424: 'Failed Dependency',
  425: 'Too Early',
  426: 'Upgrade Required',
  428: 'Precondition Required',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  451: 'Unavailable For Legal Reasons',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
  507: 'Insufficient Storage',
}
