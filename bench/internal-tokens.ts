/**
 * What internal tokens cost: `node bench/internal-tokens.ts`.
 *
 * Issued per second of CPU: user's token verified and internal token signed, each user once, in one thread and without a
 * network. And what a first request waits: the same over mutual TLS on loopback, one after the other, over connections that are
 * kept; client and server share the process, and so a core.
 */
import { generateKeyPairSync, sign } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { ACCESS_TOKEN, TOKEN_EXCHANGE, TXN_TOKEN } from '../contract/internal-token.ts'
import type { Result } from '../model/result.ts'
import { parseSpiffeId, parseTrustDomain } from '../model/spiffe-id.ts'
import { openAuthority } from '../operator/identity/authority.ts'
import { createFileCaStore } from '../operator/identity/ca-store.ts'
import { createRequestLimit } from '../operator/identity/request-limit.ts'
import { issueServerIdentity } from '../operator/identity/server-identity.ts'
import { startMeshServer } from '../operator/serve/mesh-server.ts'
import { openSigningKeys } from '../operator/tokens/signing-keys.ts'
import { createTokenHandler, tokenMetrics } from '../operator/tokens/token-handler.ts'
import { createTokenService } from '../operator/tokens/token-service.ts'
import type { IssuerConfig } from '../policies/jwt/config.ts'
import { systemClock as clock } from '../runtime/clock.ts'
import { silentLog as log } from '../runtime/log.ts'
import { createMetrics } from '../runtime/metrics.ts'
import { createIdentity } from '../sidecar/identity/identity.ts'
import { createIdentityStore } from '../sidecar/identity/identity-store.ts'
import { createTokenClient } from '../sidecar/tokens/token-client.ts'

const ISSUED = 10_000
const ASKED = 3_000
const WARM_UP = 1_000

const trustDomain = parsed(parseTrustDomain('cluster.local'))
const operatorId = parsed(parseSpiffeId('spiffe://cluster.local/ns/hauberk-system/sa/hauberk-operator'))
const gatewayId = parsed(parseSpiffeId('spiffe://cluster.local/ns/hauberk-system/sa/gateway-shop-edge'))

const ISSUER: IssuerConfig = {
  ...{ name: 'corp', issuer: 'https://corp.example', audiences: ['api'], algorithms: ['ES256'], types: ['at+jwt'] },
  ...{ clockSkewMs: 60_000, maxTokenBytes: 8_192, maxDepth: 16 },
  cache: { maxEntries: 20_000, maxBytes: 16_777_216, maxAgeMs: 300_000 },
}

async function main(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-bench-tokens-'))
  const store = createFileCaStore(directory)
  const keys = await openSigningKeys({ store, clock, log, onChange() {} })
  const people = userTokens()
  const config = { scope: ['orders.read'], ttlSeconds: 120, claims: ['/tenant'] }
  const service = createTokenService({
    trustDomain,
    keys,
    issuerKeys: { keysOf: () => people.keys, refresh: async () => {} },
    keysGeneration: () => 1,
    grantOf: () => ({ exchanges: [{ issuers: [ISSUER], config }], relays: [] }),
    clock,
  })

  console.log(`load average ${loadavg()[0]?.toFixed(2)}, node ${process.version}`)
  const forms = Array.from({ length: WARM_UP + ISSUED }, (_, i) => formOf(people.tokenOf(`in-process-${i}`)))
  const issue = async (some: readonly URLSearchParams[]) => {
    for (const form of some) {
      const outcome = await service.exchange({ spiffeId: gatewayId, address: '192.0.2.1' }, form)
      if (outcome.kind !== 'issued') throw new Error(outcome.reason)
    }
  }
  await issue(forms.slice(0, WARM_UP))
  const before = process.cpuUsage()
  await issue(forms.slice(WARM_UP))
  const { user, system } = process.cpuUsage(before)
  console.log(`issued: ${Math.round(ISSUED / ((user + system) / 1e6))} per second of CPU`)

  const authority = await openAuthority({ store, trustDomain, clock, log })
  const server = await startMeshServer({
    ...{ host: '127.0.0.1', port: 0, trustDomain, authority, clock, log },
    identity: await issueServerIdentity(authority, operatorId),
    certificates: async () => {},
    push: { accept() {}, close() {} },
    tokens: createTokenHandler({
      ...{ service, published: keys.published, trustDomain, clock, log, metrics: tokenMetrics(createMetrics()) },
      isWanted: () => true,
      limit: createRequestLimit({ clock, burst: 1_000_000, intervalMs: 1 }),
    }),
  })
  const { privateKey, chain, trustBundle } = await issueServerIdentity(authority, gatewayId)
  const parts = { privateKey, chain, trustBundle: [...trustBundle], receivedAtMs: Date.now() }
  const identity = parsed(createIdentity(parts, gatewayId, Date.now()))
  const client = createTokenClient({
    operator: { host: '127.0.0.1', port: server.port, spiffeId: operatorId },
    spiffeId: gatewayId,
    identity: createIdentityStore(identity),
    clock,
  })
  const waited: number[] = []
  for (let i = -200; i < ASKED; i++) {
    const subject = { issuer: 'corp', text: people.tokenOf(`on-loopback-${i}`) }
    const start = performance.now()
    const answer = await client.ask({ subject, scope: config.scope, ttlSeconds: 120, claims: config.claims })
    if (answer.kind !== 'granted') throw new Error(answer.detail)
    if (i >= 0) waited.push(performance.now() - start)
  }
  waited.sort((a, b) => a - b)
  const at = (part: number) => waited[Math.floor(waited.length * part)]?.toFixed(2)
  console.log(`added to a user's first request, ms: p50 ${at(0.5)}, p90 ${at(0.9)}, p99 ${at(0.99)}`)
  client.close()
  keys.close()
  await server.close()
  await rm(directory, { recursive: true, force: true })
}

function formOf(subjectToken: string): URLSearchParams {
  return new URLSearchParams({
    grant_type: TOKEN_EXCHANGE,
    requested_token_type: TXN_TOKEN,
    audience: trustDomain,
    subject_token: subjectToken,
    subject_token_type: ACCESS_TOKEN,
    scope: 'orders.read',
    request_details: JSON.stringify({ ttl: 120, claims: ['/tenant'] }),
  })
}

function userTokens() {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' })
  const jwk = { ...({ kty: 'EC', crv: 'P-256', kid: 'one', alg: 'ES256', use: 'sig' } as const), x, y }
  const iat = Math.floor(Date.now() / 1_000)
  return {
    keys: { keys: [jwk], fetchedAt: 0 },
    tokenOf(sub: string): string {
      const payload = { ...{ iss: ISSUER.issuer, aud: 'api', sub, tenant: 'acme' }, iat, exp: iat + 3_600 }
      const input = [{ typ: 'at+jwt', alg: 'ES256', kid: 'one' }, payload]
        .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
        .join('.')
      const signature = sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' })
      return `${input}.${signature.toString('base64url')}`
    },
  }
}

function parsed<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(JSON.stringify(result.issues))
  return result.value
}

await main()
