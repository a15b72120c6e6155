import { BinaryReader, type WireType } from '@bufbuild/protobuf/wire'
import type { HeaderPair } from '../../model/verdict.ts'
import { type Answer, denyingStatus, type HeaderEdit, unusable } from './answer.ts'
import { isFieldValue, mayBeTold } from './header-names.ts'

/** Which headers of an answer are passed on; undefined: all that it names. */
export interface WantedHeaders {
  readonly upstream: readonly string[] | undefined
  readonly client: readonly string[] | undefined
}

/**
 * Reads an `envoy.service.auth.v3.CheckResponse`. What would have to be done and is not done here (a changed query) makes it
 * unusable: to let the request pass without it is to let another one pass. Metadata says nothing to anybody here.
 */
export function readCheckResponse(bytes: Uint8Array, wanted: WantedHeaders): Answer {
  try {
    return answerOf(readResponse(bytes), wanted)
  } catch (error) {
    return unusable(`its answer is no CheckResponse: ${error instanceof Error ? error.message : String(error)}`)
  }
}

interface Response {
  readonly code: number
  readonly denied?: { readonly status: number; readonly headers: readonly Option[]; readonly body: string }
  readonly ok?: {
    readonly headers: readonly Option[]
    readonly remove: readonly string[]
    readonly toClient: readonly Option[]
    readonly editsQuery: boolean
  }
  /** One of a kind that came later. */
  readonly other: boolean
}

/** A `HeaderValueOption`. */
interface Option {
  readonly name: string
  readonly value: string
  readonly how: HeaderEdit['how']
}

function answerOf({ code, denied, ok, other }: Response, { upstream, client }: WantedHeaders): Answer {
  const chosen = (options: readonly Option[], names: readonly string[] | undefined) =>
    names === undefined ? options : options.filter(({ name }) => names.includes(name))
  if (code !== 0) {
    const { status = 403, headers = [], body = '' } = denied ?? {}
    const pairs = chosen(headers, client)
      .filter(isTellable)
      .map(({ name, value }): HeaderPair => [name, value])
    return { kind: 'denied', status: denyingStatus(status), headers: pairs, body: body === '' ? undefined : body }
  }
  if (denied !== undefined || other) return unusable('it allows and denies at once')
  const { headers = [], remove = [], toClient = [], editsQuery = false } = ok ?? {}
  if (editsQuery) return unusable('it changes the query of the request, which is not done')
  const upstreamHeaders = chosen(headers, upstream)
  const wrong = [...upstreamHeaders, ...toClient].find((option) => !isTellable(option))
  if (wrong !== undefined) return unusable(`it sets the header ${printable(wrong.name)}, which it may not`)
  const removed = remove.map((name) => name.toLowerCase())
  const kept = removed.find((name) => !mayBeTold(name))
  if (kept !== undefined) return unusable(`it removes the header ${printable(kept)}, which it may not`)
  return {
    kind: 'allowed',
    upstreamHeaders,
    removeHeaders: [...removed, ...(upstream ?? [])],
    clientHeaders: toClient.map(({ name, value }) => [name, value]),
  }
}

function isTellable({ name, value }: Option): boolean {
  return mayBeTold(name) && isFieldValue(value)
}

function printable(name: string): string {
  return name.slice(0, 64).replaceAll(/[^\x21-\x7e]/g, '?')
}

type FieldReader = (field: number, reader: BinaryReader, type: WireType) => boolean

/** Reads one message; `take` says false of a field that it does not know. */
function read(reader: BinaryReader, length: number, take: FieldReader): void {
  const end = reader.pos + length
  while (reader.pos < end) {
    const [field, type] = reader.tag()
    if (!take(field, reader, type)) reader.skip(type, field)
  }
  if (reader.pos !== end) throw new Error('a field is longer than its message')
}

function readNested(reader: BinaryReader, take: FieldReader): void {
  const length = reader.uint32()
  if (length > reader.len - reader.pos) throw new Error('it is cut short')
  read(reader, length, take)
}

function readResponse(bytes: Uint8Array): Response {
  let code = 0
  let denied: Response['denied']
  let ok: Response['ok']
  let other = false
  read(new BinaryReader(bytes), bytes.length, (field, reader) => {
    if (field === 1) {
      readNested(reader, (inner, status) => {
        if (inner !== 1) return false
        code = status.int32()
        return true
      })
    } else if (field === 2) denied = readDenied(reader)
    else if (field === 3) ok = readOk(reader)
    else if (field === 4) return false
    else {
      // Of the oneof, one that this contract does not have yet.
      other = true
      return false
    }
    return true
  })
  return { code, ...(denied && { denied }), ...(ok && { ok }), other }
}

function readDenied(reader: BinaryReader): NonNullable<Response['denied']> {
  let status = 403
  let body = ''
  const headers: Option[] = []
  readNested(reader, (field) => {
    if (field === 1) {
      readNested(reader, (inner) => {
        if (inner !== 1) return false
        status = reader.int32()
        return true
      })
    } else if (field === 2) headers.push(readOption(reader))
    else if (field === 3) body = reader.string()
    else return false
    return true
  })
  return { status, headers, body }
}

function readOk(reader: BinaryReader): NonNullable<Response['ok']> {
  const headers: Option[] = []
  const remove: string[] = []
  const toClient: Option[] = []
  let editsQuery = false
  readNested(reader, (field) => {
    if (field === 2) headers.push(readOption(reader))
    else if (field === 5) remove.push(reader.string())
    else if (field === 6) toClient.push(readOption(reader))
    else {
      if (field === 7 || field === 8) editsQuery = true
      return false
    }
    return true
  })
  return { headers, remove, toClient, editsQuery }
}

/** `HeaderAppendAction` in order. The first one is what is meant by saying nothing, and here that is to replace. */
const ACTIONS: readonly HeaderEdit['how'][] = ['set', 'add', 'set', 'overwrite']

function readOption(reader: BinaryReader): Option {
  let name = ''
  let value = ''
  let append: boolean | undefined
  let action = 0
  readNested(reader, (field) => {
    if (field === 1) {
      readNested(reader, (inner) => {
        if (inner === 1) name = reader.string().toLowerCase()
        else if (inner === 2) value = reader.string()
        else if (inner === 3) value = latin1(reader.bytes())
        else return false
        return true
      })
    } else if (field === 2) {
      append = false
      readNested(reader, (inner) => {
        if (inner !== 1) return false
        append = reader.bool()
        return true
      })
    } else if (field === 3) action = reader.int32()
    else return false
    return true
  })
  const how = append === true ? 'append' : ACTIONS[action]
  if (how === undefined) throw new Error(`a header is to be set in a way that is not known: ${action}`)
  return { name, value, how }
}

function latin1(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return text
}
