import { type ClientRequest, Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import type { LookupFunction } from 'node:net'
import type { Answer } from './answer.ts'

/** Where the shop is found from outside. */
export interface GatewayAddress {
  /** The name in URLs and in the certificate. */
  readonly hostname: string
  /** What the name leads to. */
  readonly address: string
  readonly httpsPort: number
  readonly httpPort: number
  /** The roots to trust, PEM. */
  readonly ca: string
  /** What a redirect to HTTPS names. Default: with `httpsPort`. Behind a node port it is the listener's own. */
  readonly redirectsTo?: string
}

/** A request from outside. */
export interface Ask {
  /** Default GET. */
  readonly method?: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as `Authorization: Bearer`. */
  readonly token?: string
  readonly body?: string | URLSearchParams | Readonly<Record<string, unknown>>
  /** Without TLS. Default false. */
  readonly plain?: boolean
  /** Until the whole answer is there. Default 10 s. */
  readonly timeoutMs?: number
}

/** A client outside of the mesh that trusts its root and nothing else. */
export interface Gateway extends GatewayAddress {
  /** `https://shop.localhost:8443`. */
  readonly origin: string
  readonly redirectsTo: string
  /** Rejects when there is no answer, or none in time. */
  ask(request: Ask): Promise<Answer>
  close(): void
}

/** Connections that nobody uses are closed by us before the gateway does it: so that no request is lost to that race. */
const IDLE_MS = 10_000

export function openGateway(at: GatewayAddress): Gateway {
  const kept = { keepAlive: true, timeout: IDLE_MS, scheduling: 'fifo' } as const
  const agents = { https: new HttpsAgent({ ...kept, ca: at.ca }), http: new HttpAgent(kept) }
  const lookup: LookupFunction = (_name, options, done) => {
    const family = at.address.includes(':') ? 6 : 4
    if (options.all === true) done(null, [{ address: at.address, family }])
    else done(null, at.address, family)
  }

  return {
    ...at,
    origin: `https://${at.hostname}:${at.httpsPort}`,
    redirectsTo: at.redirectsTo ?? `https://${at.hostname}:${at.httpsPort}`,
    ask({ method = 'GET', path, headers = {}, token, body, plain = false, timeoutMs = 10_000 }) {
      const [type, bytes] = encodeBody(body)
      const options = {
        method,
        host: at.hostname,
        path,
        lookup,
        headers: {
          ...(type !== undefined && { 'content-type': type, 'content-length': Buffer.byteLength(bytes) }),
          ...(token !== undefined && { authorization: `Bearer ${token}` }),
          ...headers,
        },
      }
      const sent = plain
        ? requestHttp({ ...options, port: at.httpPort, agent: agents.http })
        : requestHttps({ ...options, port: at.httpsPort, agent: agents.https, servername: at.hostname })
      return answerTo(sent, bytes, timeoutMs)
    },
    close() {
      agents.https.destroy()
      agents.http.destroy()
    },
  }
}

function encodeBody(body: Ask['body']): readonly [type: string | undefined, bytes: string] {
  if (body === undefined) return [undefined, '']
  if (typeof body === 'string') return ['text/plain', body]
  if (body instanceof URLSearchParams) return ['application/x-www-form-urlencoded', body.toString()]
  return ['application/json', JSON.stringify(body)]
}

function answerTo(sent: ClientRequest, body: string, timeoutMs: number): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => sent.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
    const fail = (error: Error) => {
      clearTimeout(late)
      reject(error)
    }
    sent.once('error', fail)
    sent.once('response', (response: IncomingMessage) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.once('error', fail)
      response.once('end', () => {
        clearTimeout(late)
        const { statusCode = 0, headers } = response
        resolve({ status: statusCode, headers, body: Buffer.concat(chunks).toString('utf8') })
      })
    })
    sent.end(body)
  })
}
