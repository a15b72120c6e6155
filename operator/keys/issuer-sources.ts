import type { LookupAddress } from 'node:dns'
import type { Socket } from 'node:net'
import type { Resource } from '../../model/resource.ts'
import { DEFAULT_SECRET_KEY, type JwksSource, type TokenIssuerSpec } from '../../policies/jwt/token-issuer.ts'
import { fetchJwks, JwksError, parseJwks } from './fetch-jwks.ts'
import type { IssuerFetch } from './issuer-keys.ts'

export interface IssuerSourceOptions {
  readonly tokenIssuers: readonly Resource[]
  /** A value of a Secret, base64-decoded; undefined when it is missing or may not be read. */
  readonly secretValue: (namespace: string, name: string, key: string) => string | undefined
  /** How to reach a Service of the mesh that a host and port name; undefined when they name none. */
  readonly meshRoute: (host: string, port: number) => (() => Promise<Socket>) | undefined
  /** Whether MeshConfig's egress list names a host outside. */
  readonly isEgressAllowed: (host: string, port: number) => boolean
  readonly lookup: (host: string) => Promise<readonly LookupAddress[]>
}

/** Where the keys of each TokenIssuer come from (POLICY-API rule 12). */
export function issuerSources(options: IssuerSourceOptions): ReadonlyMap<string, IssuerFetch> {
  const sources = new Map<string, IssuerFetch>()
  for (const { metadata, spec } of options.tokenIssuers) {
    const { jwks } = (typeof spec === 'object' && spec !== null ? spec : {}) as Partial<TokenIssuerSpec>
    // Without one its tokens are asked about, and nobody needs keys for them.
    if (jwks !== undefined) sources.set(metadata.name, sourceOf(jwks, options))
  }
  return sources
}

function sourceOf({ uri, inline, secretRef }: JwksSource, options: IssuerSourceOptions): IssuerFetch {
  if (inline !== undefined) {
    const text = JSON.stringify(inline)
    return { key: `inline ${text}`, refreshes: false, fetch: async () => ({ keys: parseJwks(text) }) }
  }
  if (secretRef !== undefined) {
    const { namespace, name, key = DEFAULT_SECRET_KEY } = secretRef
    const text = options.secretValue(namespace, name, key)
    return {
      // The value is part of the key, by which a rotated Secret is taken up at once. It holds public keys only.
      key: `secret ${namespace}/${name}/${key} ${text ?? ''}`,
      refreshes: false,
      async fetch() {
        if (text === undefined) throw new JwksError('unreachable', `Secret ${namespace}/${name} has no ${key}`)
        return { keys: parseJwks(text) }
      },
    }
  }
  return {
    key: `uri ${uri}`,
    refreshes: true,
    async fetch(signal) {
      const url = new URL(uri ?? '')
      const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port)
      const connect = url.protocol === 'http:' ? options.meshRoute(url.hostname, port) : undefined
      if (connect !== undefined) return await fetchJwks(url, { kind: 'mesh', connect }, signal)
      if (!options.isEgressAllowed(url.hostname, port)) {
        throw new JwksError(
          'unreachable',
          `${url.host} is neither a Service of the mesh nor on the egress list of MeshConfig`,
        )
      }
      return await fetchJwks(url, { kind: 'outside', lookup: options.lookup }, signal)
    },
  }
}
