import { type RequestOptions, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { connect as connectTls } from 'node:tls'
import type { JWK } from 'jose'
import { createTestCa } from '../../model/x509/testing/test-ca.ts'
import type { LocalWorld } from '../local/local-world.ts'
import { forgeTokens } from '../world/forge.ts'
import { sayToGateway } from '../world/wire.ts'

/** What is done to the mesh until an alert tells of it. */
export interface Attack {
  /** The alert that must fire. */
  readonly alert: string
  readonly what: string
  /** One round, of a second or so. It is made again until the alert fires, and then no more. */
  round(): Promise<unknown>
}

/** What attackers have, fetched while logging in still works. */
export interface Loot {
  readonly alice: string
  readonly bob: string
  readonly forged: readonly string[]
  readonly expired: string
}

const ORDERS_OF_BOB = '/api/orders/users/bob/orders'
const ORDERS = 'spiffe://cluster.local/ns/shop/sa/orders'

/** Milliseconds that the mesh has to answer. */
const PATIENCE_MS = 30_000

/** Networks that a botnet has: of loopback, every address is ours. */
const BOTS = Array.from({ length: 30 }, (_, i) => `127.0.${i + 1}.1`)

/** Connections of one round that flood. */
const FLOODS = 20

/** More than a connection may say in ten seconds (CVE-2019-9515), in one write. */
const SETTINGS_FRAMES = 500

export async function gatherLoot(world: LocalWorld): Promise<Loot> {
  const { accessToken, idToken } = await world.login('alice')
  const bob = await world.login('bob')
  const { active, keys } = JSON.parse(await world.secret('identity', 'auth-keys', 'jwks.json')) as {
    readonly active: string
    readonly keys: readonly JWK[]
  }
  const signingKey = keys.find(({ kid }) => kid === active)
  if (signingKey === undefined) throw new Error('the issuer has no active key')
  const tokens = await forgeTokens({ token: accessToken, idToken, signingKey }, world.vault)
  const expired = tokens.find(({ what }) => what === 'expired')?.token ?? ''
  const forged = tokens.filter(({ what }) => what !== 'expired').map(({ token }) => token)
  return { alice: accessToken, bob: bob.accessToken, forged, expired }
}

/** Attacks on a mesh that is well. They do not get into each other's way, so they may go on all at once. */
export function attacksOn(world: LocalWorld, { alice, bob, forged, expired }: Loot): readonly Attack[] {
  const { gateway, neighbour } = world
  const times = <T>(count: number, act: (i: number) => Promise<T>) =>
    Promise.all(Array.from({ length: count }, (_, i) => act(i)))
  const withToken = (token: string | undefined) => gateway.ask({ path: ORDERS_OF_BOB, ...(token && { token }) })
  return [
    {
      alert: 'HauberkFailedLoginsFromOneNetwork',
      what: '20 wrong tokens a second from 127.0.0.1',
      round: () => times(20, (i) => withToken(`${forged[0]?.slice(0, -4)}${1_000 + i}`)),
    },
    {
      alert: 'HauberkFailedLoginsFromManyNetworks',
      what: `one wrong token from each of ${BOTS.length} networks, 127.0.1.1 and on`,
      round: () => times(BOTS.length, (i) => askFrom(world, BOTS[i] ?? '', forged[i % forged.length] ?? '')),
    },
    {
      alert: 'HauberkForgedTokens',
      what: `${forged.length} kinds of forged tokens`,
      round: () => times(forged.length, (i) => withToken(forged[i])),
    },
    {
      alert: 'HauberkReplayedTokens',
      what: 'an expired token, rightly signed, 5 times a second',
      round: () => times(5, () => withToken(expired)),
    },
    {
      alert: 'HauberkBadCertificates',
      what: 'certificates to shop/payments: expired, of a foreign CA, of a foreign trust domain',
      async round() {
        const foreign = await createTestCa('foreign root')
        const hourAgo = Date.now() - 3_600_000
        const shown = [
          await foreign.issue({ uris: [ORDERS] }),
          await world.certificate({ uris: [ORDERS], notBeforeMs: hourAgo, notAfterMs: Date.now() - 60_000 }),
          await world.certificate({ uris: ['spiffe://other.example/ns/shop/sa/orders'] }),
        ]
        await Promise.all(shown.map((one) => neighbour.sayWithCertificate('shop/payments', 8080, one, '')))
      },
    },
    {
      alert: 'HauberkPlaintext',
      what: 'GET in plaintext to the port of shop/catalog',
      round: () => neighbour.sayInPlain('shop/catalog', 8080, 'GET /products HTTP/1.1\r\nhost: here\r\n\r\n'),
    },
    {
      alert: 'HauberkSmuggling',
      what: 'Content-Length and Transfer-Encoding; two Authorization lines; bare line feeds',
      round: () =>
        Promise.all(
          [
            'content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
            'authorization: Bearer a\r\nauthorization: Bearer b\r\n\r\n',
            'x-a: b\nx-c: d\r\n\r\n',
          ].map((rest) => sayToGateway(gateway, `GET / HTTP/1.1\r\nhost: ${gateway.hostname}\r\n${rest}`)),
        ),
    },
    {
      alert: 'HauberkScan',
      what: '30 paths a second that do not exist',
      round: () => times(30, (i) => gateway.ask({ path: `/.env.${i}` })),
    },
    {
      alert: 'HauberkLimitStorm',
      what: '60 requests a second as bob, whose limit is 10',
      round: () => times(60, () => withToken(bob)),
    },
    {
      alert: 'HauberkPrivilegeProbing',
      what: 'shop/catalog asks for POST /charges of shop/payments, and alice for the orders of bob',
      round: () =>
        Promise.all([
          ...Array.from({ length: 10 }, () => askAsApp(world, 'shop/catalog', 'http://payments.shop/charges')),
          ...Array.from({ length: 10 }, () => withToken(alice)),
        ]),
    },
    {
      alert: 'HauberkFlood',
      // By what is sent, and not by how fast: each of these connections is cut off for it.
      what: `${FLOODS} connections of HTTP/2 that say SETTINGS ${SETTINGS_FRAMES} times at once, and nothing else`,
      round: () => times(FLOODS, () => floodWithSettings(world)),
    },
    {
      alert: 'HauberkBreakout',
      what: 'shop/catalog calls http://example.com/',
      round: () => times(3, () => askAsApp(world, 'shop/catalog', 'http://example.com/')),
    },
  ]
}

/** From one of the addresses of this machine. */
function askFrom({ gateway }: LocalWorld, localAddress: string, token: string): Promise<void> {
  return drained(
    requestHttps({
      ...{ host: gateway.address, port: gateway.httpsPort, servername: gateway.hostname, ca: gateway.ca },
      ...{ localAddress, path: ORDERS_OF_BOB, agent: false },
      headers: { host: `${gateway.hostname}:${gateway.httpsPort}`, authorization: `Bearer ${token}` },
    }),
  )
}

/** What a client of HTTP/2 begins with (RFC 9113, 3.4), and then nothing but empty SETTINGS (6.5). Over when the gateway hangs up. */
async function floodWithSettings({ gateway }: LocalWorld): Promise<void> {
  const { address: host, httpsPort: port, hostname: servername, ca } = gateway
  const socket = connectTls({ host, port, servername, ca, ALPNProtocols: ['h2'] })
  const patience = setTimeout(() => socket.destroy(), PATIENCE_MS)
  const settings = Buffer.alloc(9 * SETTINGS_FRAMES)
  for (let at = 3; at < settings.length; at += 9) settings[at] = 4
  socket.once('secureConnect', () => {
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
    socket.write(settings)
  })
  // It is cut off in the middle of it.
  socket.on('error', () => {})
  socket.resume()
  await new Promise((resolve) => socket.once('close', resolve))
  clearTimeout(patience)
}

/** As the app of a workload does by `HTTP_PROXY`, whose credential it has. */
function askAsApp({ state }: LocalWorld, workload: string, url: string): Promise<void> {
  const proxy = state.sidecars.get(workload)?.placement.proxy
  if (proxy === undefined) throw new Error(`${workload} has no way out`)
  const { username, password } = proxy.credential
  const credential = Buffer.from(`${username}:${password}`).toString('base64')
  const options: RequestOptions = {
    ...{ host: proxy.bind.host, port: proxy.bind.port, method: 'POST', path: url, agent: false },
    headers: { host: new URL(url).host, 'proxy-authorization': `Basic ${credential}`, 'content-length': 0 },
  }
  return drained(requestHttp(options))
}

function drained(sent: ReturnType<typeof requestHttp>): Promise<void> {
  return new Promise((resolve, reject) => {
    sent.setTimeout(PATIENCE_MS, () => sent.destroy(new Error(`no answer within ${PATIENCE_MS} ms`)))
    sent.once('error', reject)
    sent.once('response', (response) => response.resume().once('end', resolve).once('error', reject))
    sent.end()
  })
}
