import type { Denial, HeaderPair } from '../../model/verdict.ts'
import { NO_HEADERS } from './http1/header-lines.ts'
import { type Framing, NO_BODY } from './http1/message.ts'
import { type ResponseToWrite, writeResponseHead } from './http1/write-head.ts'

/** A response that this proxy makes itself. */
export interface LocalResponse {
  readonly status: number
  readonly headers: readonly HeaderPair[]
  readonly body?: string | undefined
  /** The request was HEAD: the length is told and the body is not sent. */
  readonly toHead: boolean
  /** HTTP/1.1: no request follows. */
  readonly close?: boolean
  /** Milliseconds since the epoch. */
  readonly nowMs: number
}

/** The message and its body, which is empty where none is sent. */
export function localMessage({ status, headers, body, toHead, close, nowMs }: LocalResponse): {
  readonly message: ResponseToWrite
  readonly body: Buffer
} {
  const bytes = Buffer.from(body ?? '')
  const isBodyless = status === 204 || status === 304
  const framing: Framing = isBodyless || toHead ? NO_BODY : { kind: 'length', bytes: bytes.length }
  const message = {
    status,
    headers: NO_HEADERS,
    framing,
    declaredLength: toHead && !isBodyless ? bytes.length : undefined,
    ...(close === undefined ? {} : { close }),
    edits: { set: [['date', httpDate(nowMs)] as const, ...headers] },
  }
  return { message, body: framing.kind === 'length' ? bytes : NOTHING }
}

/** Head and body in one Buffer. If one of the headers would split it, none of them is sent. */
export function writeLocalResponse(response: LocalResponse): Buffer {
  const { message, body } = localMessage(response)
  const first = { slices: body.length > 0 ? [body] : [], done: true }
  const written = writeResponseHead(message, first)
  if (Buffer.isBuffer(written)) return written
  return writeResponseHead(localMessage({ ...response, headers: [] }).message, first) as Buffer
}

const NOTHING = Buffer.alloc(0)

/** The body that tells of a refusal: RFC 9457, with the stable name and the id to ask about, and nothing of the policy. */
export function problemJson({ name, status, title }: Denial, decisionId: string): string {
  return JSON.stringify({ type: `urn:hauberk:denial:${name}`, title, status, denial: name, decisionId })
}

export const PROBLEM_JSON: HeaderPair = ['content-type', 'application/problem+json']

/** RFC 9110, 5.6.7. One string a second. */
function httpDate(nowMs: number): string {
  const second = Math.floor(nowMs / 1_000)
  if (second !== datedSecond) {
    datedSecond = second
    dated = new Date(second * 1_000).toUTCString()
  }
  return dated
}

let datedSecond = -1
let dated = ''
