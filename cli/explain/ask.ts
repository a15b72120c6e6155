import { HTTP_METHODS } from '../../model/http-method.ts'
import { parseHeaderName } from '../../model/match/header.ts'
import { readIpAddress } from '../../model/match/ip-address.ts'
import type { PostgresOpening } from '../../model/request.ts'
import { parseSpiffeId, spiffeIdFor } from '../../model/spiffe-id.ts'
import type { Pipeline } from '../../sidecar/compile/pipeline.ts'
import { isIdentityHeader } from '../../sidecar/serve/forwarded.ts'
import { type Problem, problem } from '../../sidecar/serve/http1/problem.ts'
import { normaliseHost, normaliseTarget } from '../../sidecar/serve/normalise.ts'
import { CommandError, EXIT } from '../exit-code.ts'
import type { Asked, Claims } from './asked.ts'

/** A request as the command line says it. */
export interface AskWords {
  readonly method?: string | undefined
  readonly target?: string | undefined
  /** A SPIFFE ID, `namespace/service-account`, or a service account of the workload's own namespace. */
  readonly from?: string | undefined
  /** `gateway` and the like, as the one gateway of the mesh goes by. */
  readonly gateway?: string | undefined
  readonly claims?: Claims | undefined
  /** Whose API key it has. */
  readonly client?: string | undefined
  /** `name: value`. */
  readonly headers: readonly string[]
  readonly host?: string | undefined
  readonly port?: number | undefined
  readonly clientIp?: string | undefined
  /** Who a client of Postgres wants to be, and where; the database is the user's own where it is not said. */
  readonly user?: string | undefined
  readonly database?: string | undefined
}

export type AskedOrRefused =
  | { readonly kind: 'asked'; readonly asked: Asked; readonly notes: readonly string[] }
  /** No proxy passes such a request on, whatever the policies. */
  | {
      readonly kind: 'malformed'
      readonly status: number
      readonly reason: string
      readonly port: number
      readonly caller: string | undefined
    }

/** The request that somebody means, as a sidecar or gateway would read it. Ends the command for words that make no request. */
export function ask(pipeline: Pipeline, words: AskWords, site: Site = siteOf(pipeline, words)): AskedOrRefused {
  const notes: string[] = []
  const common = {
    port: site.port,
    scheme: site.scheme,
    caller: callerOf(pipeline, words),
    clientIp: clientIpOf(words.clientIp ?? '127.0.0.1'),
    claims: words.claims,
    ...(words.client !== undefined && { client: words.client }),
  }
  if (site.protocol === 'tcp') {
    if (words.method !== undefined) notes.push(`port ${site.port} is opaque TCP: nobody reads methods and paths there`)
    const { serverName } = site
    const named = serverName !== undefined && { serverName }
    const postgres = loginOf(pipeline, site.port, words, notes)
    return {
      kind: 'asked',
      asked: {
        ...common,
        ...named,
        ...(postgres && { postgres }),
        protocol: 'tcp',
        method: '',
        path: '',
        query: '',
        host: '',
        headers: [],
      },
      notes,
    }
  }
  if (words.method === undefined || words.target === undefined) {
    throw usage('say METHOD and PATH: this port speaks HTTP')
  }
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}$/.test(words.method)) throw usage(`${words.method} is no method`)
  const target = normaliseTarget(words.target)
  const malformed = ({ status, reason }: Problem): AskedOrRefused => ({
    kind: 'malformed',
    status,
    reason,
    port: site.port,
    caller: common.caller,
  })
  if (!(HTTP_METHODS as readonly string[]).includes(words.method)) return malformed(problem('client', 'unknown-method'))
  if ('kind' in target) return malformed(target)
  const host = normaliseHost(words.host ?? site.host)
  if ('kind' in host) return malformed(host)
  const written = words.target.split('?', 1)[0]
  if (target.path !== written) notes.push(`policies and the app see ${target.path}, the normal form of ${written}`)
  const headers = words.headers.map(readHeader)
  for (const [name] of headers) {
    if (isIdentityHeader(name)) notes.push(`${name} says who is asking: what a client sends under this name is removed`)
  }
  return {
    kind: 'asked',
    asked: { ...common, ...target, protocol: 'http', method: words.method, host: host.host, headers },
    notes,
  }
}

function loginOf(
  { inbound }: Pipeline,
  port: number,
  { user, database }: AskWords,
  notes: string[],
): PostgresOpening | undefined {
  const isRead = inbound.get(port)?.opening !== undefined
  if (!isRead && (user !== undefined || database !== undefined)) {
    notes.push(`no policy reads which user of a database connects to port ${port}`)
  }
  if (isRead && user === undefined) {
    notes.push(`a policy reads which user of the database connects to port ${port}: say it with --user and --database`)
  }
  if (!isRead || user === undefined) return undefined
  return { kind: 'session', user, database: database ?? user, isReplication: false }
}

/** Where a request is read. */
export interface Site {
  readonly port: number
  readonly protocol: 'http' | 'tcp'
  readonly scheme: 'http' | 'https'
  /** What is asked for by SNI, of a stream of TLS. */
  readonly serverName?: string
  /** What a client calls it, when it is not said. */
  readonly host: string
}

function siteOf(pipeline: Pipeline, words: AskWords): Site {
  return pipeline.config.role === 'gateway' ? gatewaySite(pipeline, words) : sidecarSite(pipeline, words)
}

/** A port is the container's, or that of a Service that leads to it. */
function sidecarSite({ inbound, config }: Pipeline, { port }: AskWords): Site {
  const listeners = [...inbound.values()].map(({ listener }) => listener)
  const serviceOf = (id: string) => /^Service\/([^/]+)\/([^:]+):([0-9]+)$/.exec(id)
  const chosen =
    port === undefined
      ? (listeners.find(({ protocol }) => protocol === 'http') ?? listeners[0])
      : (listeners.find((listener) => listener.port === port) ??
        listeners.find(({ routes }) => routes.some(({ id }) => serviceOf(id)?.[3] === String(port))))
  if (chosen === undefined) {
    const ports = listeners.map((listener) => listener.port).join(', ')
    throw new CommandError(
      EXIT.failure,
      listeners.length === 0
        ? `${config.workload} has no port`
        : `${config.workload} has no port ${port}; it has ${ports}`,
    )
  }
  const service = chosen.routes.map(({ id }) => serviceOf(id)).find((found) => found !== null)
  const [namespace = '', name = ''] = config.workload.split('/')
  return {
    port: chosen.port,
    protocol: chosen.protocol,
    scheme: chosen.mtls === 'Disabled' ? 'http' : 'https',
    host: service ? `${service[2]}.${service[1]}` : `${name}.${namespace}`,
  }
}

function gatewaySite({ config, gateway, streams }: Pipeline, { port, host }: AskWords): Site {
  const carried = [...streams.values()]
    .map(({ listener }) => listener)
    .filter((listener) => (port === undefined ? gateway.size === 0 : listener.port === port))
  const [stream] = carried
  if (stream !== undefined) {
    if (stream.protocol === 'tcp') return { port: stream.port, protocol: 'tcp', scheme: 'http', host: '' }
    const hostnames = carried.flatMap(({ routes }) => routes.flatMap((route) => route.hostnames))
    const serverName = host?.toLowerCase() ?? hostnames.find((hostname) => !hostname.startsWith('*.'))
    const named = serverName !== undefined && { serverName }
    return { port: stream.port, protocol: 'tcp', scheme: 'https', host: '', ...named }
  }
  const listeners = [...gateway.values()].map(({ listener }) => listener)
  const chosen =
    port === undefined
      ? (listeners.find(({ protocol }) => protocol === 'https') ?? listeners[0])
      : listeners.find((listener) => listener.port === port)
  if (chosen === undefined) {
    const all = [...listeners, ...[...streams.values()].map(({ listener }) => listener)]
    const ports = all.map((listener) => `${listener.port} (${listener.protocol})`).join(', ')
    throw new CommandError(
      EXIT.failure,
      `${config.workload} has no listener of port ${port}; it has ${ports || 'none'}`,
    )
  }
  const named = [chosen.hostname, ...chosen.routes.flatMap(({ match }) => match.hostnames)]
  const only = named.find((name) => name !== undefined && !name.startsWith('*.'))
  if (host === undefined && only === undefined) throw usage('say which host with --host: this listener takes several')
  return { port: chosen.port, protocol: 'http', scheme: chosen.protocol, host: only ?? '' }
}

function callerOf({ config }: Pipeline, { from, gateway }: AskWords): string | undefined {
  if (from === undefined) return undefined
  if (from.startsWith('spiffe:')) {
    const id = parseSpiffeId(from)
    if (!id.ok) throw usage(`--from ${from} ${id.issues[0]?.message}`)
    return id.value
  }
  const account = from === 'gateway' && gateway !== undefined ? gateway : from
  const [first = '', second] = account.split('/')
  const [own = ''] = config.workload.split('/')
  const [namespace, name] = second === undefined ? [own, first] : [first, second]
  // What is a trust domain for the mesh is one here: it made certificates with it.
  const id = spiffeIdFor(config.identity.trustDomain as Parameters<typeof spiffeIdFor>[0], namespace, name)
  if (!id.ok) throw usage(`--from ${from}: its ${id.issues[0]?.path} ${id.issues[0]?.message}`)
  return id.value
}

function clientIpOf(text: string): string {
  if (readIpAddress(text) === undefined) throw usage(`--client-ip ${text} is no IP address`)
  return text
}

function readHeader(text: string): readonly [string, string] {
  const colon = text.indexOf(':')
  const name = parseHeaderName(text.slice(0, Math.max(0, colon)).trim())
  if (!name.ok) throw usage(`--header '${text}' is not name:value`)
  return [name.value, text.slice(colon + 1).trim()]
}

function usage(message: string): CommandError {
  return new CommandError(EXIT.usage, `hauberk explain: ${message}`)
}
