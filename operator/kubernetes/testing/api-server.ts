import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { type ClientOptions, type KubernetesClient, openClient } from '../client.ts'

/** One request as a script sees it. */
export interface Asked {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingMessage['headers']
  readonly body: unknown
  /** The connection that it came over, counted from 1. */
  readonly connection: number
}

/** What a script does with one request. */
export interface Answer {
  json(status: number, body: unknown, headers?: Readonly<Record<string, string>>): void
  /** A `metav1.Status` that refuses. */
  refuse(status: number, reason: string, headers?: Readonly<Record<string, string>>): void
  /** Begins a watch. */
  stream(): EventStream
  /** The bare response, for what no API server would send. */
  readonly raw: ServerResponse
}

export interface EventStream {
  send(type: string, object: unknown): void
  write(text: string): void
  end(): void
  /** Cuts the connection without ending the stream. */
  drop(): void
}

/**
 * An HTTP server whose every answer is written by the test: for what a real API server does only when it is in trouble.
 * It shows how this side takes that, never what an API server does.
 */
export interface ScriptedServer {
  readonly client: KubernetesClient
  readonly asked: readonly Asked[]
  /** Cuts every connection. */
  cut(): void
}

export async function scriptServer(
  t: TestContext,
  script: (asked: Asked, answer: Answer) => void,
  options: Pick<ClientOptions, 'clock'> = {},
): Promise<ScriptedServer> {
  const asked: Asked[] = []
  const connections = new Map<Socket, number>()
  let opened = 0
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://x')
    const text = Buffer.concat(chunks).toString('utf8')
    const one: Asked = {
      method: request.method ?? '',
      path: pathname,
      query: searchParams,
      headers: request.headers,
      body: text === '' ? undefined : JSON.parse(text),
      connection: connections.get(request.socket) ?? 0,
    }
    asked.push(one)
    script(one, answerWith(response))
  })
  server.on('connection', (socket) => {
    opened += 1
    connections.set(socket, opened)
    socket.on('close', () => connections.delete(socket))
    socket.on('error', () => {})
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const client = await openClient({
    config: { from: 'text', text: kubeconfig(`http://127.0.0.1:${port}`) },
    userAgent: 'test',
    ...options,
  })
  t.after(async () => {
    client.close()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return {
    client,
    asked,
    cut() {
      for (const socket of connections.keys()) socket.destroy()
    },
  }
}

export function kubeconfig(server: string, user: Readonly<Record<string, unknown>> = { token: 'secret' }): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test', namespace: 'here' } }],
    // The library takes plain HTTP only where nothing is verified anyway.
    clusters: [{ name: 'test', cluster: { server, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'test', user }],
  })
}

function answerWith(response: ServerResponse): Answer {
  const json: Answer['json'] = (status, body, headers = {}) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(JSON.stringify(body))
  }
  return {
    json,
    refuse(status, reason, headers) {
      const body = { kind: 'Status', apiVersion: 'v1', status: 'Failure', message: `refused: ${reason}`, reason }
      json(status, { ...body, code: status }, headers)
    },
    stream() {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.flushHeaders()
      const write = (text: string) => {
        if (!response.writableEnded) response.write(text)
      }
      return {
        write,
        send: (type, object) => write(`${JSON.stringify({ type, object })}\n`),
        end: () => void response.end(),
        drop: () => void response.socket?.destroy(),
      }
    },
    raw: response,
  }
}
