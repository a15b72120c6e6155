import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, unlink, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { parseHostnamePattern } from '../model/hostname.ts'
import { parseSpiffeId, parseTrustDomain, type SpiffeId } from '../model/spiffe-id.ts'
import { parseWorkloadId } from '../model/workload-id.ts'
import { pemsOf } from '../model/x509/bundle.ts'
import { createTestCa } from '../model/x509/testing/test-ca.ts'
import { NO_AUDIT } from '../operator/audit/audit.ts'
import { type Authority, openAuthority } from '../operator/identity/authority.ts'
import { createFileCaStore } from '../operator/identity/ca-store.ts'
import { type CallerAuthenticator, tokenOrCertificate } from '../operator/identity/caller.ts'
import { createCertificateHandler } from '../operator/identity/certificate-handler.ts'
import { createJoinAuthenticator } from '../operator/identity/join-caller.ts'
import { createJoinTokens, type JoinTokens } from '../operator/identity/join-tokens.ts'
import { createRequestLimit } from '../operator/identity/request-limit.ts'
import { issueServerIdentity, operatorTlsOptions } from '../operator/identity/server-identity.ts'
import { createSvidAuthenticator } from '../operator/identity/svid-caller.ts'
import { writeTrustAnchors } from '../operator/identity/trust-anchors.ts'
import { systemClock } from '../runtime/clock.ts'
import { type LogFields, silentLog } from '../runtime/log.ts'
import { CertificateFetchError } from '../sidecar/identity/fetch-certificate.ts'
import { isVouchedFor } from '../sidecar/identity/identity.ts'
import { obtain } from '../sidecar/identity/obtain.ts'
import {
  adoptTrustBundle,
  keepIdentity,
  type OpenIdentityOptions,
  openIdentity,
} from '../sidecar/identity/open-identity.ts'
import { createServingCertificates, MAX_SERVING_HOSTNAMES } from '../sidecar/identity/serving-certificates.ts'

function value<T>(result: { readonly ok: true; readonly value: T } | { readonly ok: false }): T {
  assert.ok(result.ok)
  return result.value
}

const trustDomain = value(parseTrustDomain('cluster.local'))
const operatorId = value(parseSpiffeId('spiffe://cluster.local/ns/hauberk-system/sa/hauberk-operator'))
const idOf = (name: string): SpiffeId => value(parseSpiffeId(`spiffe://cluster.local/ns/shop/sa/${name}`))

interface Operator {
  readonly authority: Authority
  readonly tokens: JoinTokens
  readonly port: number
  stop(): Promise<void>
}

interface World {
  readonly directory: string
  /** Starts an operator on this state, on `port` if it is given. */
  start(options?: {
    readonly port?: number
    readonly leafLifetimeMs?: number
    readonly id?: SpiffeId
    /** Of the root. Default 1. */
    readonly generation?: number
    /** Default: join tokens, and certificates of this mesh. */
    readonly authenticator?: CallerAuthenticator
  }): Promise<Operator>
  /** What a sidecar is started with; its own directories are made. */
  sidecar(name: string, operator: Pick<Operator, 'port'>): Promise<OpenIdentityOptions>
  /** Puts a new join token where the sidecar looks for it. */
  giveToken(name: string, operator: Operator): Promise<void>
  readonly signal: AbortSignal
}

async function newWorld(t: TestContext): Promise<World> {
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-e2e-'))
  const controller = new AbortController()
  const running = new Set<Operator>()
  t.after(async () => {
    controller.abort()
    for (const operator of running) await operator.stop()
    await rm(directory, { recursive: true })
  })
  return {
    directory,
    signal: controller.signal,
    async start({ port = 0, leafLifetimeMs = 3_600_000, id = operatorId, generation = 1, authenticator } = {}) {
      const clock = systemClock
      const authority = await openAuthority({
        store: createFileCaStore(join(directory, 'ca')),
        trustDomain,
        clock,
        log: silentLog,
        leafLifetimeMs,
        first: async (roots) => ({ trusted: [await roots.made(generation)], distrusted: [] }),
      })
      await writeTrustAnchors(join(directory, 'ca.crt'), authority.trustBundle())
      const tokens = createJoinTokens(join(directory, 'join'), clock)
      const handler = createCertificateHandler({
        authority,
        authenticator:
          authenticator ??
          tokenOrCertificate(createJoinAuthenticator(tokens), createSvidAuthenticator(trustDomain, clock)),
        limit: createRequestLimit({ clock }),
        audit: NO_AUDIT,
        clock,
        log: silentLog,
        servingNames: (caller, hostname) =>
          caller.spiffeId === idOf('gateway') ? [value(parseHostnamePattern(hostname))] : undefined,
      })
      const server: Server = createServer(operatorTlsOptions(await issueServerIdentity(authority, id)), handler)
      server.listen(port, '127.0.0.1')
      await once(server, 'listening')
      const operator: Operator = {
        authority,
        tokens,
        port: (server.address() as AddressInfo).port,
        async stop() {
          if (!running.delete(operator)) return
          const closed = once(server, 'close')
          server.close()
          server.closeAllConnections()
          await closed
        },
      }
      running.add(operator)
      return operator
    },
    async sidecar(name, { port }) {
      const stateDirectory = join(directory, name)
      await mkdir(stateDirectory, { recursive: true, mode: 0o700 })
      return {
        spiffeId: idOf(name),
        operator: { host: '127.0.0.1', port, spiffeId: operatorId },
        trustAnchorsFile: join(directory, 'ca.crt'),
        tokenFile: join(directory, `${name}.token`),
        stateDirectory,
        clock: systemClock,
        random: Math.random,
        log: silentLog,
        signal: controller.signal,
      }
    },
    async giveToken(name, operator) {
      const claim = { workload: value(parseWorkloadId(`shop/${name}`)), spiffeId: idOf(name) }
      await writeFile(join(directory, `${name}.token`), `${await operator.tokens.mint(claim)}\n`, { mode: 0o600 })
    },
  }
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 60_000
  while (!condition()) {
    assert.ok(Date.now() < deadline, what)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

describe('a sidecar’s identity', () => {
  it('comes from the operator by a join token, and outlives the sidecar: F12, without operator and token', async (t) => {
    const world = await newWorld(t)
    const operator = await world.start()
    const options = await world.sidecar('orders', operator)
    await world.giveToken('orders', operator)
    const first = await openIdentity(options)
    assert.equal(first.current().spiffeId, idOf('orders'))
    await operator.stop()
    await unlink(options.tokenFile)
    const second = await openIdentity(options)
    assert.deepEqual(second.current(), first.current())
  })

  it('is waited for until the operator is there', async (t) => {
    const world = await newWorld(t)
    const before = await world.start()
    await before.stop()
    const opening = openIdentity(await world.sidecar('orders', before))
    const operator = await world.start({ port: before.port })
    await world.giveToken('orders', operator)
    assert.equal((await opening).current().spiffeId, idOf('orders'))
  })

  it('F03: is renewed by itself alone, over an operator that went away and came back', async (t) => {
    const world = await newWorld(t)
    const first = await world.start({ leafLifetimeMs: 30_000 })
    const options = await world.sidecar('orders', first)
    await world.giveToken('orders', first)
    const store = await openIdentity(options)
    await unlink(options.tokenFile)
    await first.stop()
    // As if half of the life had passed already: the first attempt comes at once, and finds nobody.
    const { notAfterMs } = store.current()
    store.replace({ ...store.current(), receivedAtMs: Date.now() - (notAfterMs - Date.now()) * 2 })
    const controller = new AbortController()
    const keeping = keepIdentity(store, { ...options, signal: controller.signal }).done
    const second = await world.start({ port: first.port, leafLifetimeMs: 30_000 })
    await until(() => store.version() === 2, 'renewed')
    assert.ok(store.current().notAfterMs >= notAfterMs)
    assert.equal(store.current().spiffeId, idOf('orders'))
    const kept = JSON.parse(await readFile(join(options.stateDirectory, 'identity.json'), 'utf8')) as { chain: string }
    assert.equal(kept.chain, store.current().chain)
    controller.abort()
    await keeping
    await second.stop()
  })

  it('is not taken over from another mesh whose roots were replaced', async (t) => {
    const world = await newWorld(t)
    const operator = await world.start()
    const options = await world.sidecar('orders', operator)
    await world.giveToken('orders', operator)
    const before = (await openIdentity(options)).current()
    await operator.stop()
    await rm(join(world.directory, 'ca'), { recursive: true })
    const fresh = await world.start({ port: operator.port })
    await world.giveToken('orders', fresh)
    const after = (await openIdentity(options)).current()
    assert.notDeepEqual(after.trustBundle, before.trustBundle)
  })

  it('T02: is renewed by its token alone where that is what proves it, and the token is read anew each time', async (t) => {
    const world = await newWorld(t)
    const shown: { readonly bearer: string | undefined; readonly certificate: boolean }[] = []
    const authenticator: CallerAuthenticator = {
      async authenticate({ bearer, certificate }) {
        shown.push({ bearer, certificate: certificate !== undefined })
        return { ok: true, caller: { spiffeId: idOf('orders'), provenBy: 'service-account-token' } }
      },
    }
    const operator = await world.start({ authenticator, leafLifetimeMs: 30_000 })
    const options = { ...(await world.sidecar('orders', operator)), provenBy: 'token', random: () => 0 } as const
    await writeFile(options.tokenFile, 'first\n', { mode: 0o600 })
    const store = await openIdentity(options)
    await writeFile(options.tokenFile, 'second\n')
    const keeping = keepIdentity(store, options)
    const { root } = store.current()
    const next = (await createTestCa('next root')).root
    await adoptTrustBundle(store, [next, ...store.current().trustBundle], options)
    await until(() => shown.length === 2, 'it asks again')
    assert.deepEqual(shown, [
      { bearer: 'first', certificate: false },
      { bearer: 'second', certificate: false },
    ])
    assert.equal(store.current().root, root)
    await until(() => store.version() >= 2, 'it has the answer')
    await unlink(options.tokenFile)
    assert.equal(await keeping.reviewAnchors(), undefined)
  })

  it('F05: is replaced soon after another root signs, at a moment of its own', async (t) => {
    const world = await newWorld(t)
    const first = await world.start()
    const options = { ...(await world.sidecar('orders', first)), random: () => 0 }
    await world.giveToken('orders', first)
    const store = await openIdentity(options)
    const [old] = store.current().trustBundle
    keepIdentity(store, options)
    await first.stop()
    const second = await world.start({ port: first.port, generation: 2 })
    await world.giveToken('orders', second)
    const [next] = pemsOf(second.authority.trustBundle())
    await adoptTrustBundle(store, [next!, old!], options)
    await until(() => store.current().root === store.current().trustedRoots[0], 'it has one of the new root')
    assert.deepEqual(store.current().trustBundle, [next])
  })

  it('F06: is replaced at once when its root is distrusted, and said to be of no use until then', async (t) => {
    const world = await newWorld(t)
    const first = await world.start()
    const options = { ...(await world.sidecar('orders', first)), random: () => 0 }
    await world.giveToken('orders', first)
    const store = await openIdentity(options)
    const { root: old } = store.current()
    let voided = 0
    keepIdentity(store, { ...options, onVoid: () => (voided += 1) })
    await first.stop()
    const second = await world.start({ port: first.port, generation: 2 })
    const [next] = pemsOf(second.authority.trustBundle())
    await adoptTrustBundle(store, [next!], { ...options, distrustedRoots: [old] })
    await until(() => voided > 0, 'it is told')
    assert.equal(isVouchedFor(store.current()), false)
    await world.giveToken('orders', second)
    await until(() => isVouchedFor(store.current()), 'it has another one')
    assert.deepEqual(store.current().distrustedRoots, [old])
    const again = await openIdentity(options)
    assert.deepEqual(again.current().distrustedRoots, [old], 'that outlives the sidecar')
  })

  it('F05: finds its way back, by the anchors, when the root was replaced while it was away', async (t) => {
    const world = await newWorld(t)
    const first = await world.start()
    const options = { ...(await world.sidecar('orders', first)), random: () => 0 }
    await world.giveToken('orders', first)
    const store = await openIdentity(options)
    const keeping = keepIdentity(store, options)
    const { root: old } = store.current()
    await keeping.reviewAnchors()
    assert.deepEqual(keeping.operatorRoots(), store.current().trustBundle)

    await first.stop()
    const second = await world.start({ port: first.port, generation: 2 })
    await world.giveToken('orders', second)
    await keeping.reviewAnchors()
    assert.equal(keeping.operatorRoots().length, 2, 'the operator is known by the new root')
    await until(() => store.current().root !== old, 'it has one of the new root')
    assert.deepEqual(store.current().trustBundle, pemsOf(second.authority.trustBundle()))

    const restarted = await openIdentity(options)
    assert.deepEqual(restarted.current(), store.current())
  })

  it('is asked of nobody but the operator: another workload in its place is not sent the token', async (t) => {
    const world = await newWorld(t)
    const impostor = await world.start({ id: idOf('catalog') })
    const options = await world.sidecar('orders', impostor)
    await world.giveToken('orders', impostor)
    const token = (await readFile(options.tokenFile, 'utf8')).trim()
    const trustBundle = [await readFile(options.trustAnchorsFile, 'utf8')]
    const asking = obtain(
      { profile: 'svid' },
      { operator: options.operator, credentials: [{ kind: 'token', token }], trustBundle, clock: systemClock },
    )
    await assert.rejects(asking, (error: Error) => {
      assert.ok(error instanceof CertificateFetchError)
      assert.equal(error.code, 'unreachable')
      assert.match(String(error.cause), /unexpected-identity/)
      return true
    })
    assert.ok(await impostor.tokens.redeem(token), 'the token is still good')
  })

  it('is asked of no operator that our roots do not vouch for', async (t) => {
    const world = await newWorld(t)
    const operator = await world.start()
    const options = await world.sidecar('orders', operator)
    await world.giveToken('orders', operator)
    const token = (await readFile(options.tokenFile, 'utf8')).trim()
    const { root } = await createTestCa()
    const asking = obtain(
      { profile: 'svid' },
      { operator: options.operator, credentials: [{ kind: 'token', token }], trustBundle: [root], clock: systemClock },
    )
    await assert.rejects(asking, CertificateFetchError)
    assert.ok(await operator.tokens.redeem(token), 'the token is still good')
  })

  it('F05: takes the roots that the operator pushes, keeps them, and no garbage', async (t) => {
    const world = await newWorld(t)
    const operator = await world.start()
    const options = await world.sidecar('orders', operator)
    await world.giveToken('orders', operator)
    const store = await openIdentity(options)
    const [old] = store.current().trustBundle
    const next = (await createTestCa('next root')).root
    assert.equal((await adoptTrustBundle(store, [old!, next], options)).ok, true)
    assert.deepEqual(store.current().trustBundle, [old, next])
    assert.equal((await adoptTrustBundle(store, [old!, next], options)).ok, true)
    assert.equal((await adoptTrustBundle(store, ['garbage'], options)).ok, false)
    assert.equal(store.version(), 1, 'one swap')
    assert.deepEqual((await openIdentity(options)).current(), store.current())
  })

  it('T01: is not had with a token made for another workload', async (t) => {
    const world = await newWorld(t)
    const operator = await world.start()
    const options = await world.sidecar('orders', operator)
    await world.giveToken('catalog', operator)
    const controller = new AbortController()
    const opening = openIdentity({
      ...options,
      tokenFile: join(world.directory, 'catalog.token'),
      signal: controller.signal,
      log: {
        ...silentLog,
        warn: (_message, fields) => {
          assert.match(String(fields?.['err']), /unexpected-identity/)
          controller.abort()
        },
      },
    })
    await assert.rejects(opening)
  })
})

describe('a gateway’s serving certificates', () => {
  it('are asked for by hostname, renewed, kept over a restart, and let go', async (t) => {
    const world = await newWorld(t)
    const operator = await world.start()
    const options = await world.sidecar('gateway', operator)
    await world.giveToken('gateway', operator)
    const identity = await openIdentity(options)
    const serving = { ...options, identity, stateDirectory: join(options.stateDirectory, 'serving') }
    const certificates = createServingCertificates(serving)
    const changes: string[] = []
    certificates.onChange(({ hostname }) => changes.push(hostname))
    certificates.want(['shop.localhost', '*.shop.localhost'])
    await until(() => changes.length === 2, 'both came')
    assert.deepEqual([...changes].sort(), ['*.shop.localhost', 'shop.localhost'])
    const first = certificates.get('shop.localhost')
    assert.ok(first)
    assert.equal(first.root, identity.current().root)
    assert.equal(certificates.areOf(first.root), true)
    assert.equal(certificates.areOf('another'), false)

    certificates.want(['shop.localhost'])
    assert.equal(certificates.get('*.shop.localhost'), undefined)
    assert.equal(certificates.get('shop.localhost'), first)

    await operator.stop()
    const restarted = createServingCertificates(serving)
    restarted.want(['shop.localhost'])
    await until(() => restarted.get('shop.localhost') !== undefined, 'came back from disk')
    assert.equal(restarted.get('shop.localhost')?.chain, first.chain)
  })

  it('are for a bounded number of hostnames; what is beyond is said and not asked for', async (t) => {
    const world = await newWorld(t)
    const operator = await world.start()
    const options = await world.sidecar('gateway', operator)
    await world.giveToken('gateway', operator)
    const identity = await openIdentity(options)
    await operator.stop()
    const warnings: unknown[] = []
    const log = { ...silentLog, warn: (_message: string, fields?: LogFields) => warnings.push(fields?.['url.domain']) }
    const certificates = createServingCertificates({ ...options, identity, log })
    certificates.want(Array.from({ length: MAX_SERVING_HOSTNAMES + 2 }, (_, i) => `h${i}.example`))
    certificates.want([])
    assert.deepEqual(warnings, [`h${MAX_SERVING_HOSTNAMES}.example`, `h${MAX_SERVING_HOSTNAMES + 1}.example`])
  })

  it('are not had by a workload that is no gateway, and are asked for again with patience', async (t) => {
    const world = await newWorld(t)
    const operator = await world.start()
    const options = await world.sidecar('orders', operator)
    await world.giveToken('orders', operator)
    const identity = await openIdentity(options)
    let refusals = 0
    const certificates = createServingCertificates({
      ...options,
      identity,
      log: {
        ...silentLog,
        warn: (_message, fields) => {
          assert.match(String(fields?.['err']), /403: not-its-listener/)
          refusals += 1
        },
      },
    })
    certificates.want(['shop.localhost'])
    await until(() => refusals >= 2, 'asked twice')
    assert.equal(certificates.get('shop.localhost'), undefined)
    certificates.want([])
  })
})
