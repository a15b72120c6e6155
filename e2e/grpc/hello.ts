import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type sendUnaryData,
} from '@grpc/grpc-js'

/** A server of gRPC that says who it is: `Ask` once, `Chat` to each message. Texts, so that no schema is needed. */

const { NAME = 'hello', HOST = '127.0.0.1', PORT = '50051' } = process.env

const text = {
  requestSerialize: (value: string) => Buffer.from(value),
  requestDeserialize: (bytes: Buffer) => bytes.toString(),
  responseSerialize: (value: string) => Buffer.from(value),
  responseDeserialize: (bytes: Buffer) => bytes.toString(),
}

const ask = ({ request, metadata }: ServerUnaryCall<string, string>, done: sendUnaryData<string>) => {
  const trailers = new Metadata()
  trailers.set('x-served-by', NAME)
  done(null, `${NAME}: ${request} ${metadata.get('x-version').join()}`.trim(), trailers)
}

const chat = (call: ServerDuplexStream<string, string>) => {
  call.on('data', (request: string) => call.write(`${NAME}: ${request}`))
  call.on('end', () => call.end())
}

const server = new Server()
for (const service of ['shop.Prices', 'shop.Stock']) {
  const unary = { requestStream: false, responseStream: false, ...text }
  server.addService(
    {
      Ask: { path: `/${service}/Ask`, ...unary },
      Watch: { path: `/${service}/Watch`, ...unary },
      Chat: { path: `/${service}/Chat`, requestStream: true, responseStream: true, ...text },
    },
    { Ask: ask, Watch: ask, Chat: chat },
  )
}
server.bindAsync(`${HOST}:${PORT}`, ServerCredentials.createInsecure(), (error) => {
  if (error !== null) throw error
})
process.on('SIGTERM', () => process.exit(0))
