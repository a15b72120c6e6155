import assert from 'node:assert/strict'
import { createPrivateKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type RequestOptions, request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { connect, type TLSSocket } from 'node:tls'
import { parseHostnamePattern } from '../../model/hostname.ts'
import { parseSpiffeId, parseTrustDomain, type SpiffeId } from '../../model/spiffe-id.ts'
import { parseWorkloadId } from '../../model/workload-id.ts'
import { pemsOf } from '../../model/x509/bundle.ts'
import { parseCertificates } from '../../model/x509/certificate.ts'
import { encodeDer } from '../../model/x509/der-write.ts'
import { encodePem } from '../../model/x509/pem.ts'
import { createTestCa } from '../../model/x509/testing/test-ca.ts'
import { systemClock } from '../../runtime/clock.ts'
import { createLog, silentLog } from '../../runtime/log.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { NO_AUDIT } from '../audit/audit.ts'
import { type Authority, openAuthority } from './authority.ts'
import { createFileCaStore } from './ca-store.ts'
import { type CallerAuthenticator, tokenOrCertificate } from './caller.ts'
import { createCertificateHandler } from './certificate-handler.ts'
import { createJoinAuthenticator } from './join-caller.ts'
import { createJoinTokens, type JoinTokens } from './join-tokens.ts'
import { createRequestLimit } from './request-limit.ts'
import { issueServerIdentity, keepServerIdentity, operatorTlsOptions } from './server-identity.ts'
import { createSvidAuthenticator } from './svid-caller.ts'
import {
  BasicConstraintsExtension,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
} from './x509-library.ts'

function value<T>(result: { readonly ok: true; readonly value: T } | { readonly ok: false }): T {
  assert.ok(result.ok)
  return result.value
}

const trustDomain = value(parseTrustDomain('cluster.local'))
const operatorId = value(parseSpiffeId('spiffe://cluster.local/ns/hauberk-system/sa/hauberk-operator'))
const idOf = (name: string): SpiffeId => value(parseSpiffeId(`spiffe://cluster.local/ns/shop/sa/${name}`))

interface PostOptions extends RequestOptions {
  readonly token?: string
  readonly holder?: Holder
  /** Sends no length. */
  readonly isChunked?: boolean
}

interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly json: Record<string, unknown>
}

interface Holder {
  readonly key: string
  readonly cert: string
}

let directory: string
let authority: Authority
let tokens: JoinTokens
let port: number
let trustAnchors: string[]
let stop: () => void
const logLines: string[] = []
/** Holds requests in the authenticator for as long as it is not resolved. */
let gate: Promise<void> = Promise.resolve()

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hauberk-operator-'))
  const clock = systemClock
  const log = createLog({
    level: 'debug',
    service: 'test',
    clock,
    sink: { write: (line) => logLines.push(line), drop() {}, dropped: 0 },
  })
  authority = await openAuthority({ store: createFileCaStore(join(directory, 'ca')), trustDomain, clock, log })
  tokens = createJoinTokens(join(directory, 'join'), clock)
  trustAnchors = [...pemsOf(authority.trustBundle())]
  const byProof = tokenOrCertificate(createJoinAuthenticator(tokens), createSvidAuthenticator(trustDomain, clock))
  const authenticator: CallerAuthenticator = {
    async authenticate(facts) {
      await gate
      return byProof.authenticate(facts)
    },
  }
  const handler = createCertificateHandler({
    authority,
    authenticator,
    limit: createRequestLimit({ clock, burst: 5, intervalMs: 60_000 }),
    audit: NO_AUDIT,
    clock,
    log,
    servingNames: (caller, hostname) =>
      caller.spiffeId === idOf('gateway') && hostname === 'shop.localhost'
        ? [value(parseHostnamePattern('shop.localhost')), value(parseHostnamePattern('*.shop.localhost'))]
        : undefined,
  })
  const server = createServer(operatorTlsOptions(await issueServerIdentity(authority, operatorId)), handler)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  port = (server.address() as AddressInfo).port
  stop = () => {
    server.close()
    server.closeAllConnections()
  }
})

after(async () => {
  stop()
  await rm(directory, { recursive: true })
})

function csrFor(key: KeyObject, publicKey: KeyObject): string {
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  const info = encodeDer(0x30, Buffer.from('0201003000', 'hex'), spki, Buffer.from('a000', 'hex'))
  const algorithm = Buffer.from('300a06082a8648ce3d040302', 'hex')
  const der = encodeDer(0x30, info, algorithm, encodeDer(0x03, Buffer.of(0), sign('sha256', info, key)))
  return encodePem(der, 'CERTIFICATE REQUEST')
}

function newRequest() {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string, csr: csrFor(privateKey, publicKey) }
}

function post(body: unknown, options: PostOptions = {}) {
  const { token, holder, isChunked = false, headers, ...rest } = options
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return new Promise<Reply>((resolve, reject) => {
    const call = request(
      {
        host: '127.0.0.1',
        port,
        path: '/v1/certificates',
        method: 'POST',
        agent: false,
        ca: trustAnchors,
        checkServerIdentity: () => undefined,
        headers: {
          'content-type': 'application/json',
          ...(isChunked ? {} : { 'content-length': Buffer.byteLength(text) }),
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...headers,
        },
        ...holder,
        ...rest,
      },
      async (response) => {
        const chunks = await response.setEncoding('utf8').toArray()
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          json: JSON.parse(chunks.join('')) as Record<string, unknown>,
        })
      },
    )
    call.on('error', reject)
    call.end(text)
  })
}

function mint(name: string): Promise<string> {
  return tokens.mint({ workload: value(parseWorkloadId(`shop/${name}`)), spiffeId: idOf(name) })
}

async function joined(name: string): Promise<Holder & { readonly reply: Reply }> {
  const { key, csr } = newRequest()
  const reply = await post({ profile: 'svid', csr }, { token: await mint(name) })
  assert.equal(reply.status, 200, JSON.stringify(reply.json))
  return { key, cert: String(reply.json['certificate']), reply }
}

function namesIn(reply: Reply) {
  return value(parseCertificates(String(reply.json['certificate'])))[0]!.subjectAltNames
}

function assertProblem(reply: Reply, status: number, reason: string): void {
  assert.equal(reply.status, status, JSON.stringify(reply.json))
  assert.equal(reply.headers['content-type'], 'application/problem+json')
  assert.equal(reply.json['reason'], reason)
  assert.equal(reply.json['status'], status)
}

describe('POST /v1/certificates', () => {
  it('gives a workload with a join token its SVID and the trust bundle', async () => {
    const { reply } = await joined('first')
    assert.deepEqual(namesIn(reply), { uris: [idOf('first')], dnsNames: [], others: 0 })
    assert.deepEqual(reply.json['trustBundle'], trustAnchors)
    const [leaf] = value(parseCertificates(String(reply.json['certificate'])))
    assert.equal(reply.json['notAfterMs'], leaf!.notAfterMs)
    assert.equal(reply.headers['cache-control'], 'no-store')
  })

  it('T01: refuses a join token that is wrong, malformed or was used', async () => {
    const { csr } = newRequest()
    const token = await mint('t01')
    assert.equal((await post({ profile: 'svid', csr }, { token })).status, 200)
    assertProblem(await post({ profile: 'svid', csr }, { token }), 401, 'bad-join-token')
    assertProblem(await post({ profile: 'svid', csr }, { token: 'A'.repeat(43) }), 401, 'bad-join-token')
    const basic = { headers: { authorization: 'Basic b3JkZXJzOng=' } }
    assertProblem(await post({ profile: 'svid', csr }, basic), 401, 'malformed-authorization')
    assertProblem(await post({ profile: 'svid', csr }), 401, 'no-certificate')
  })

  it('T01: refuses two tokens at once, a good one among them', async () => {
    const { csr } = newRequest()
    const token = await mint('t01-two')
    const headers = { authorization: [`Bearer ${token}`, `Bearer ${token}`] }
    // Node's client joins or drops repeated headers, so the request is written by hand.
    const body = JSON.stringify({ profile: 'svid', csr })
    const socket = connect({ host: '127.0.0.1', port, ca: trustAnchors, checkServerIdentity: () => undefined })
    await once(socket, 'secureConnect')
    const lines = headers.authorization.map((line) => `authorization: ${line}\r\n`).join('')
    socket.end(
      `POST /v1/certificates HTTP/1.1\r\nhost: operator\r\ncontent-type: application/json\r\n${lines}content-length: ${body.length}\r\n\r\n${body}`,
    )
    const answer = (await socket.setEncoding('utf8').toArray()).join('')
    assert.match(answer, /^HTTP\/1.1 401 /)
    assert.match(answer, /malformed-authorization/)
    assert.ok(await tokens.redeem(token), 'and does not use it up')
  })

  it('T01: gives a refused token no second try as a certificate', async () => {
    const holder = await joined('t01-holder')
    const { csr } = newRequest()
    assertProblem(await post({ profile: 'svid', csr }, { holder, token: 'B'.repeat(43) }), 401, 'bad-join-token')
  })

  it('T02: knows a caller by its token alone: one stolen for another name still gives its own', async () => {
    const holder = await joined('t02-catalog')
    const { csr } = newRequest()
    const reply = await post({ profile: 'svid', csr }, { holder, token: await mint('t02-orders') })
    assert.deepEqual(namesIn(reply).uris, [idOf('t02-orders')])
  })

  it('T03: takes the name from the caller, whatever the request asks for', async () => {
    const keys = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'])
    const greedy = await Pkcs10CertificateRequestGenerator.create({
      name: 'CN=spiffe://cluster.local/ns/kube-system/sa/admin',
      keys,
      signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
      extensions: [
        new SubjectAlternativeNameExtension([{ type: 'url', value: 'spiffe://cluster.local/ns/kube-system/sa/admin' }]),
        new BasicConstraintsExtension(true, 9, true),
      ],
    })
    const csr = encodePem(new Uint8Array(greedy.rawData), 'CERTIFICATE REQUEST')
    const reply = await post({ profile: 'svid', csr }, { token: await mint('t03') })
    const [leaf] = value(parseCertificates(String(reply.json['certificate'])))
    assert.deepEqual(leaf!.subjectAltNames, { uris: [idOf('t03')], dnsNames: [], others: 0 })
    assert.equal(leaf!.isCa, false)
    assert.equal(leaf!.subject, '3000')
  })

  it('T03: answers 400 to a request that is not sound, 413 to one that is too large', async () => {
    const weak = generateKeyPairSync('ec', { namedCurve: 'P-384' })
    const own = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    let nested: Uint8Array = new Uint8Array()
    while (nested.length < 10_000) nested = encodeDer(0x30, nested)
    const bad = [
      '',
      csrFor(weak.privateKey, weak.publicKey),
      csrFor(other.privateKey, own.publicKey),
      encodePem(nested, 'CERTIFICATE REQUEST'),
      encodePem(encodeDer(0x30, new Uint8Array(17_000)), 'CERTIFICATE REQUEST'),
    ]
    for (const [i, csr] of bad.entries()) {
      assertProblem(await post({ profile: 'svid', csr }, { token: await mint(`t03-${i}`) }), 400, 'bad-csr')
    }
    const megabyte = encodePem(encodeDer(0x30, new Uint8Array(1_000_000)), 'CERTIFICATE REQUEST')
    assertProblem(await post({ profile: 'svid', csr: megabyte }, { token: await mint('t03-mb') }), 413, 'too-large')
    const chunked = { token: await mint('t03-chunked'), isChunked: true }
    const reply = await post({ profile: 'svid', csr: megabyte }, chunked).catch(
      (error: NodeJS.ErrnoException) => error.code,
    )
    // The connection may be gone before all of it was written.
    if (typeof reply === 'object') assertProblem(reply, 413, 'too-large')
    else assert.match(String(reply), /EPIPE|ECONNRESET/)
  })

  it('answers 400 to JSON that it does not know every member of', async () => {
    const { csr } = newRequest()
    const bodies = [
      '',
      '[]',
      'x',
      { profile: 'svid' },
      { profile: 'root', csr },
      { profile: 'svid', csr, spiffeId: 'x' },
    ]
    for (const [i, body] of bodies.entries()) {
      assertProblem(await post(body, { token: await mint(`json-${i}`) }), 400, 'malformed-request')
    }
  })

  it('T04: tells a workload that asks too often to wait, and no other', async () => {
    const holder = await joined('t04')
    const statuses: number[] = []
    let last: Reply | undefined
    for (let i = 0; i < 8; i++) {
      last = await post({ profile: 'svid', csr: newRequest().csr }, { holder })
      statuses.push(last.status)
    }
    assert.deepEqual(statuses, [200, 200, 200, 200, 200, 429, 429, 429])
    assertProblem(last!, 429, 'too-many-requests')
    assert.ok(Number(last!.headers['retry-after']) >= 1)
    await joined('t04-other')
  })

  it('T04: works on a bounded number of requests at once and sends the others away for a moment', async () => {
    let open = () => {}
    gate = new Promise((resolve) => {
      open = resolve
    })
    const { csr } = newRequest()
    let answered = 0
    let sixteenAnswered = () => {}
    const turnedAway = new Promise<void>((resolve) => {
      sixteenAnswered = resolve
    })
    const replies = Array.from({ length: 80 }, async () => {
      const reply = await post({ profile: 'svid', csr }, { token: 'C'.repeat(43) })
      answered += 1
      if (answered === 16) sixteenAnswered()
      return reply
    })
    const first = await Promise.race(replies)
    assertProblem(first, 429, 'too-many-requests')
    assert.equal(first.headers['retry-after'], '1')
    await turnedAway
    open()
    const statuses = (await Promise.all(replies)).map(({ status }) => status)
    assert.equal(statuses.filter((status) => status === 401).length, 64)
    assert.equal(statuses.filter((status) => status === 429).length, 16)
  })

  it('T04: lets nobody wait for callers who never send what they announce', async (t) => {
    const slow: ReturnType<typeof request>[] = []
    const begun: Promise<void>[] = []
    t.after(() => {
      for (const call of slow) call.destroy()
    })
    for (let caller = 0; caller < 17; caller++) {
      const { key, cert } = await joined(`slow-${caller}`)
      for (let i = 0; i < 4; i++) {
        const call = request({
          ...{ host: '127.0.0.1', port, path: '/v1/certificates', method: 'POST', agent: false },
          ...{ ca: trustAnchors, checkServerIdentity: () => undefined, key, cert },
          headers: { 'content-type': 'application/json', 'content-length': 400 },
        })
        call.on('error', () => {})
        begun.push(
          new Promise((resolve) => {
            call.once('socket', (socket) => socket.once('secureConnect', resolve))
            call.once('close', resolve)
          }),
        )
        call.flushHeaders()
        slow.push(call)
      }
    }
    await Promise.all(begun)
    const { reply } = await joined('honest')
    assert.equal(reply.status, 200)
  })

  it('renews for who shows a current SVID', async () => {
    const holder = await joined('renews')
    const { csr } = newRequest()
    const reply = await post({ profile: 'svid', csr }, { holder })
    assert.equal(reply.status, 200)
    assert.deepEqual(namesIn(reply).uris, [idOf('renews')])
  })

  it('T05: refuses to renew for a foreign CA, an expired SVID, or a serving certificate', async () => {
    const { csr } = newRequest()
    const foreign = await createTestCa()
    const stranger = await foreign.issue({ uris: [idOf('orders')] })
    const foreignHolder = { key: stranger.privateKey, cert: stranger.chain }
    assertProblem(await post({ profile: 'svid', csr }, { holder: foreignHolder }), 401, 'no-certificate')

    const past = await openAuthority({
      store: createFileCaStore(join(directory, 'ca')),
      trustDomain,
      clock: createManualClock(Date.now() - 2 * 86_400_000),
      log: silentLog,
    })
    const old = await issueServerIdentity(past, idOf('orders'))
    const oldHolder = { key: old.privateKey, cert: old.chain }
    assertProblem(await post({ profile: 'svid', csr }, { holder: oldHolder }), 401, 'no-certificate')

    const gateway = await joined('gateway')
    const own = newRequest()
    const serving = await post({ profile: 'serving', csr: own.csr, hostname: 'shop.localhost' }, { holder: gateway })
    assert.equal(serving.status, 200)
    const servingHolder = { key: own.key, cert: String(serving.json['certificate']) }
    assertProblem(await post({ profile: 'svid', csr }, { holder: servingHolder }), 401, 'no-certificate')
  })

  it('gives a gateway the names that the operator knows of, and others none', async () => {
    const gateway = await joined('gateway')
    const own = newRequest()
    const reply = await post({ profile: 'serving', csr: own.csr, hostname: 'shop.localhost' }, { holder: gateway })
    assert.deepEqual(namesIn(reply), { uris: [], dnsNames: ['shop.localhost', '*.shop.localhost'], others: 0 })
    const foreign = { profile: 'serving', csr: own.csr, hostname: 'bank.example' }
    assertProblem(await post(foreign, { holder: gateway }), 403, 'not-its-listener')
    const orders = await joined('serving-orders')
    const asked = { profile: 'serving', csr: own.csr, hostname: 'shop.localhost' }
    assertProblem(await post(asked, { holder: orders }), 403, 'not-its-listener')
  })

  it('T06: does not know a caller by a resumed session', async () => {
    const holder = await joined('t06')
    const options = { host: '127.0.0.1', port, ca: trustAnchors, checkServerIdentity: () => undefined, ...holder }
    const first = connect(options)
    const sessions: Buffer[] = []
    first.on('session', (session: Buffer) => sessions.push(session))
    await once(first, 'secureConnect')
    first.write('GET / HTTP/1.1\r\nhost: operator\r\nconnection: close\r\n\r\n')
    await first
      .resume()
      .toArray()
      .catch(() => {})
    for (const session of sessions) {
      const second: TLSSocket = connect({ ...options, session })
      await once(second, 'secureConnect')
      assert.equal(second.isSessionReused(), false)
      second.destroy()
    }
    assert.ok(sessions.length > 0, 'there was a session to try with')
  })

  it('answers other methods and media types by the book', async () => {
    assertProblem(await post('', { method: 'PUT' }), 405, 'method')
    assertProblem(await post('', { headers: { 'content-type': 'text/plain' } }), 415, 'media-type')
  })

  it('T31: has logged no token, request, key or certificate', async () => {
    const { csr } = newRequest()
    const token = await mint('t31')
    await post({ profile: 'svid', csr }, { token })
    await post({ profile: 'svid', csr }, { token })
    const log = logLines.join('')
    assert.match(log, /certificate issued/)
    assert.match(log, /certificate refused/)
    for (const secret of [token, csr.split('\n')[1]!, 'BEGIN']) assert.ok(!log.includes(secret), secret.slice(0, 8))
  })
})

describe('the operator’s own certificate', () => {
  it('is replaced at half of its life while connections stay open', async () => {
    const clock = systemClock
    const short = await openAuthority({
      store: createFileCaStore(join(directory, 'short')),
      trustDomain,
      clock,
      log: silentLog,
      leafLifetimeMs: 30_000,
    })
    const first = await issueServerIdentity(short, operatorId)
    const server = createServer(operatorTlsOptions(first), (_request, response) => response.end('ok'))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const ended = new AbortController()
    const options = {
      host: '127.0.0.1',
      port: (server.address() as AddressInfo).port,
      ca: [...first.trustBundle],
      checkServerIdentity: () => undefined,
    }
    const open = connect(options)
    await once(open, 'secureConnect')
    const serial = open.getPeerX509Certificate()?.serialNumber

    const replaced = new Promise<void>((resolve) => {
      const setSecureContext = server.setSecureContext.bind(server)
      server.setSecureContext = (context) => {
        setSecureContext(context)
        resolve()
      }
    })
    // Half of what this one has left is due at once.
    const keeping = keepServerIdentity(server, {
      authority: short,
      spiffeId: operatorId,
      first: { ...first, notAfterMs: clock.now() + 20 },
      clock,
      log: silentLog,
      signal: ended.signal,
    })
    await replaced
    const next = connect(options)
    await once(next, 'secureConnect')
    assert.notEqual(next.getPeerX509Certificate()?.serialNumber, serial)
    open.write('GET / HTTP/1.1\r\nhost: operator\r\nconnection: close\r\n\r\n')
    assert.match((await open.setEncoding('utf8').toArray()).join(''), /^HTTP\/1.1 200 /)
    next.destroy()
    ended.abort()
    await keeping
    server.close()
    server.closeAllConnections()
    assert.equal(createPrivateKey(first.privateKey).asymmetricKeyDetails?.namedCurve, 'prime256v1')
  })
})
