import { BinaryWriter } from '@bufbuild/protobuf/wire'
import type { ToldRequest } from './told-request.ts'

/** What is beside the request itself. */
export interface CheckContext {
  /** The request is for this workload, at this port. */
  readonly workload: string
  readonly port: number
  readonly context: readonly (readonly [key: string, value: string])[]
  /** Milliseconds since the epoch. */
  readonly timeMs: number
}

/**
 * `envoy.service.auth.v3.CheckRequest` as bytes. Of the contract (envoy/service/auth/v3/external_auth.proto,
 * attribute_context.proto) what there is to say here, field by field; authorizers take what is left out as empty.
 */
export function writeCheckRequest(told: ToldRequest, { workload, port, context, timeMs }: CheckContext): Uint8Array {
  const path = `${told.path}${told.query}`
  const headers: readonly (readonly [string, string])[] = [
    // As Envoy has them among the headers.
    ...([
      [':method', told.method],
      [':path', path],
      [':authority', told.host],
      [':scheme', told.scheme],
    ] as const),
    ...told.headers,
  ]
  return message((request) =>
    nested(request, 1, (attributes) => {
      nested(attributes, 1, (source) => {
        socketAddress(source, told.clientIp, 0)
        text(source, 4, told.principal)
      })
      nested(attributes, 2, (destination) => {
        socketAddress(destination, '', port)
        text(destination, 2, workload)
      })
      nested(attributes, 4, (asked) => {
        nested(asked, 1, (time) => {
          time.tag(1, VARINT).int64(Math.floor(timeMs / 1_000))
          time.tag(2, VARINT).int32(Math.floor(timeMs % 1_000) * 1_000_000)
        })
        nested(asked, 2, (http) => {
          text(http, 1, told.id)
          text(http, 2, told.method)
          for (const [name, value] of headers) entry(http, 3, name, value)
          text(http, 4, path)
          text(http, 5, told.host)
          text(http, 6, told.scheme)
          text(http, 10, 'HTTP/1.1')
        })
      })
      for (const [key, value] of context) entry(attributes, 10, key, value)
    }),
  ).finish()
}

/** Wire types (protobuf.dev/programming-guides/encoding). */
const VARINT = 0
const BYTES = 2

function message(write: (writer: BinaryWriter) => void): BinaryWriter {
  const writer = new BinaryWriter()
  write(writer)
  return writer
}

function nested(writer: BinaryWriter, field: number, write: (inner: BinaryWriter) => void): void {
  writer.tag(field, BYTES).fork()
  write(writer)
  writer.join()
}

function text(writer: BinaryWriter, field: number, value: string): void {
  if (value !== '') writer.tag(field, BYTES).string(value)
}

function entry(writer: BinaryWriter, field: number, key: string, value: string): void {
  nested(writer, field, (pair) => {
    pair.tag(1, BYTES).string(key)
    pair.tag(2, BYTES).string(value)
  })
}

/** `config.core.v3.Address` with a `SocketAddress`, as `Peer.address`. */
function socketAddress(peer: BinaryWriter, address: string, port: number): void {
  nested(peer, 1, (wrapper) =>
    nested(wrapper, 1, (socket) => {
      text(socket, 2, address)
      socket.tag(3, VARINT).uint32(port)
    }),
  )
}
