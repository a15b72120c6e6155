/** A gRPC service for every proxy: each unary call is answered with the message that it came with, and trailers. */
import { constants, createServer } from 'node:http2'
import type { Server } from 'node:net'
import { serveAsks } from './serve-asks.ts'

let answered = 0

const server = createServer({ settings: { maxConcurrentStreams: 1_000 } })
server.on('stream', (stream) => {
  const parts: Buffer[] = []
  stream.on('data', (part: Buffer) => parts.push(part))
  stream.on('error', () => {})
  stream.on('end', () => {
    answered += 1
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'grpc-message': '' }))
    stream.end(Buffer.concat(parts))
  })
})
// A proxy that is stopped takes its connections with it.
server.on('sessionError', () => {})
server.on('session', (session) => session.on('error', () => session.destroy(undefined, constants.NGHTTP2_NO_ERROR)))
serveAsks(server as unknown as Server, () => answered)
