import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Resource } from '../../model/resource.ts'
import { parseTrustDomain } from '../../model/spiffe-id.ts'
import { type Log, silentLog } from '../../runtime/log.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import type { KubernetesRequest } from '../kubernetes/client.ts'
import { KubernetesError } from '../kubernetes/errors.ts'
import type { CallerVerdict } from './caller.ts'
import { createTokenReviewAuthenticator } from './token-review-caller.ts'

const trustDomain = parseTrustDomain('cluster.local')
assert.ok(trustDomain.ok)

const TOKEN = 'header.payload.signature'

type Json = Readonly<Record<string, unknown>>

/** What the API server says of a good token of the pod below. */
const REVIEW = {
  authenticated: true,
  audiences: ['hauberk.dev/operator'],
  user: {
    username: 'system:serviceaccount:shop:orders',
    extra: {
      'authentication.kubernetes.io/pod-name': ['orders-0'],
      'authentication.kubernetes.io/pod-uid': ['uid-0'],
    },
  },
} as const

function pod(changes: { readonly metadata?: Json; readonly spec?: Json; readonly status?: Json } = {}): Resource {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'orders-0', namespace: 'shop', uid: 'uid-0', ...changes.metadata },
    spec: { serviceAccountName: 'orders', ...changes.spec },
    status: { phase: 'Running', podIPs: [{ ip: '10.0.0.7' }, { ip: 'fd00::7' }], ...changes.status },
  } as Resource
}

interface World {
  /** `status` of the review. */
  readonly review?: unknown
  /** As the watch has it; default: as the API server has it. */
  readonly watched?: Resource | undefined
  /** As the API server has it; undefined: 404. */
  readonly stored?: Resource | undefined
  readonly fail?: (request: KubernetesRequest) => Error | undefined
  readonly log?: Log
}

function world(given: World = {}) {
  const { fail = () => undefined, log = silentLog } = given
  const review = 'review' in given ? given.review : REVIEW
  const stored = 'stored' in given ? given.stored : pod()
  const watched = 'watched' in given ? given.watched : stored
  const clock = createManualClock()
  const requests: KubernetesRequest[] = []
  const authenticator = createTokenReviewAuthenticator({
    client: {
      async request<T>(request: KubernetesRequest): Promise<T> {
        requests.push(request)
        const error = fail(request)
        if (error !== undefined) throw error
        if (request.method === 'POST') return { status: review } as T
        if (stored === undefined) throw new KubernetesError({ status: 404, reason: 'NotFound', message: 'no pod' })
        return stored as T
      },
    },
    trustDomain: trustDomain.ok ? trustDomain.value : assert.fail(),
    pod: () => watched,
    clock,
    random: () => 0,
    log,
  })
  const ask = (bearer: string | undefined = TOKEN, remoteAddress: string | undefined = '10.0.0.7') =>
    authenticator.authenticate({ bearer, certificate: undefined, remoteAddress })
  return { authenticator, ask, requests, clock }
}

function refusal(verdict: CallerVerdict): readonly [status: number, reason: string] {
  assert.ok(!verdict.ok)
  return [verdict.status, verdict.reason]
}

describe('a caller with a service-account token', () => {
  it('is who the review says, and the pod that the token is bound to', async () => {
    const { ask, requests } = world()
    assert.deepEqual(await ask(), {
      ok: true,
      caller: {
        spiffeId: 'spiffe://cluster.local/ns/shop/sa/orders',
        provenBy: 'service-account-token',
        pod: { namespace: 'shop', name: 'orders-0', uid: 'uid-0' },
      },
    })
    assert.equal(requests.length, 1, 'the watch has shown the pod')
    assert.deepEqual(requests[0]?.body, {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenReview',
      spec: { token: TOKEN, audiences: ['hauberk.dev/operator'] },
    })
  })

  it('comes from any address of its pod, whatever its spelling', async () => {
    for (const address of ['10.0.0.7', '::ffff:10.0.0.7', 'fd00::7', 'fd00:0:0:0:0:0:0:7', 'fd00::7%eth0']) {
      assert.equal((await world().ask(TOKEN, address)).ok, true, address)
    }
  })

  it('T01: is refused with a token that was not made for the operator, after one review', async () => {
    const cases: readonly (readonly [unknown, string])[] = [
      [{ authenticated: false, error: 'invalid bearer token' }, 'token-refused'],
      [{}, 'token-refused'],
      [undefined, 'token-refused'],
      [{ ...REVIEW, authenticated: 'true' }, 'token-refused'],
      [{ ...REVIEW, audiences: undefined }, 'wrong-audience'],
      [{ ...REVIEW, audiences: [] }, 'wrong-audience'],
      [{ ...REVIEW, audiences: ['https://kubernetes.default.svc'] }, 'wrong-audience'],
      [{ ...REVIEW, audiences: 'hauberk.dev/operator' }, 'wrong-audience'],
      [{ ...REVIEW, user: { ...REVIEW.user, username: 'system:node:a' } }, 'no-service-account'],
      [{ ...REVIEW, user: { ...REVIEW.user, username: 'system:serviceaccount:a:b:c' } }, 'no-service-account'],
    ]
    for (const [review, reason] of cases) {
      const { ask, requests } = world({ review })
      assert.deepEqual(refusal(await ask()), [401, reason])
      assert.equal(requests.length, 1)
    }
  })

  it('T01: is refused without a question when there is no token, or what is no service-account token at all', async () => {
    const { authenticator, requests } = world()
    const certificate = new Uint8Array(1)
    for (const bearer of [undefined, '', 'x', 'a.b', 'a.b.c.d', `${'a'.repeat(20_000)}.b.c`]) {
      const verdict = await authenticator.authenticate({ bearer, certificate, remoteAddress: '10.0.0.7' })
      assert.equal(refusal(verdict)[0], 401)
    }
    assert.equal(requests.length, 0)
  })

  it('T02: is refused with a token that is bound to no pod', async () => {
    const { extra } = REVIEW.user
    const unbound = [
      undefined,
      {},
      { ...extra, 'authentication.kubernetes.io/pod-uid': [] },
      { ...extra, 'authentication.kubernetes.io/pod-uid': ['uid-0', 'uid-1'] },
      { ...extra, 'authentication.kubernetes.io/pod-name': 'orders-0' },
    ]
    for (const each of unbound) {
      const { ask } = world({ review: { ...REVIEW, user: { ...REVIEW.user, extra: each } } })
      assert.deepEqual(refusal(await ask()), [403, 'token-not-bound'])
    }
  })

  it('T02: is refused when the API server says that its pod was', async () => {
    const error = '[invalid bearer token, service account token has been invalidated]'
    assert.deepEqual(refusal(await world({ review: { error } }).ask()), [403, 'token-invalidated'])
  })

  it('T02: is refused when its pod is gone, going, over, another one, or has another service account', async () => {
    const cases: readonly (readonly [Resource | undefined, string])[] = [
      [undefined, 'no-such-pod'],
      [pod({ metadata: { uid: 'uid-1' } }), 'another-pod'],
      [pod({ metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } }), 'pod-being-deleted'],
      [pod({ spec: { serviceAccountName: 'payments' } }), 'another-service-account'],
      [pod({ spec: { serviceAccountName: undefined } }), 'another-service-account'],
      [pod({ status: { phase: 'Succeeded' } }), 'pod-ended'],
      [pod({ status: { phase: 'Failed' } }), 'pod-ended'],
    ]
    for (const [stored, reason] of cases) {
      assert.deepEqual(refusal(await world({ stored }).ask()), [403, reason])
    }
  })

  it('T02: is refused when it comes from anywhere but its pod', async () => {
    for (const address of ['10.0.0.8', '::ffff:10.0.0.8', 'fd00::8', '127.0.0.1']) {
      assert.deepEqual(refusal(await world().ask(TOKEN, address)), [403, 'wrong-source-address'], address)
    }
    const { authenticator } = world()
    const nowhere = await authenticator.authenticate({
      bearer: TOKEN,
      certificate: undefined,
      remoteAddress: undefined,
    })
    assert.deepEqual(refusal(nowhere), [403, 'unknown-source-address'])
  })

  it('is asked after once more, at the API server, when the watch has not shown its pod so', async () => {
    for (const watched of [undefined, pod({ metadata: { uid: 'before' } }), pod({ status: { podIPs: [] } })]) {
      const { ask, requests } = world({ watched, stored: pod() })
      assert.equal((await ask()).ok, true)
      assert.deepEqual(
        requests.map(({ path }) => path),
        ['/apis/authentication.k8s.io/v1/tokenreviews', '/api/v1/namespaces/shop/pods/orders-0'],
      )
    }
  })

  it('is told to come again while nobody knows the address of its pod', async () => {
    assert.deepEqual(await world({ stored: pod({ status: { podIPs: [], phase: 'Pending' } }) }).ask(), {
      ok: false,
      status: 503,
      reason: 'unknown-pod-address',
      retryAfterSeconds: 1,
    })
  })

  it('F01: is told to come again while the API server is away, for the review as for the pod', async () => {
    const away = new KubernetesError({ status: 0, reason: 'Unreachable', message: 'connection refused' })
    const busy = new KubernetesError({ status: 429, reason: 'TooManyRequests', message: 'slow', retryAfterMs: 9_000 })
    const expected = { ok: false, status: 503, reason: 'api-server-unavailable', retryAfterSeconds: 2 }
    assert.deepEqual(await world({ fail: () => away }).ask(), expected)
    const pods = world({ watched: undefined, fail: ({ method }) => (method === 'POST' ? undefined : away) })
    assert.deepEqual(await pods.ask(), expected)
    assert.deepEqual(await world({ fail: () => busy }).ask(), { ...expected, retryAfterSeconds: 9 })
  })

  it('T04: is one of so many a second whom the API server is asked about; one address cannot take the turns of others', async () => {
    const { authenticator, requests, clock } = world({ watched: pod() })
    const ask = (address: string) =>
      authenticator.authenticate({ bearer: TOKEN, certificate: undefined, remoteAddress: address })
    const flood = Array.from({ length: 1_000 }, () => ask('10.0.0.66'))
    const other = ask('10.0.0.7')
    await clock.advance(1_000)
    assert.equal((await other).ok, true)
    assert.ok(requests.length <= 50, `${requests.length} calls`)
    await clock.advance(5_000)
    const verdicts = await Promise.all(flood)
    const sentAway = verdicts.filter((verdict) => !verdict.ok && verdict.status === 429)
    assert.equal(sentAway.length, 980)
    assert.ok(sentAway.every((verdict) => !verdict.ok && (verdict.retryAfterSeconds ?? 0) >= 1))
  })

  it('T04: is told to come again when too many have come from everywhere', async () => {
    const { authenticator, requests, clock } = world()
    const asking = Array.from({ length: 400 }, (_, i) =>
      authenticator.authenticate({ bearer: TOKEN, certificate: undefined, remoteAddress: `10.0.${i >> 8}.${i & 255}` }),
    )
    await clock.advance(1_000)
    assert.ok(requests.length <= 50, `${requests.length} calls in the first second`)
    await clock.advance(10_000)
    const verdicts = await Promise.all(asking)
    assert.ok(verdicts.some((verdict) => !verdict.ok && verdict.status === 429))
  })

  it('T31: has no token in the log, whatever goes wrong', async () => {
    const lines: unknown[] = []
    const note = (...line: unknown[]) => void lines.push(line)
    const log: Log = { ...silentLog, info: note, warn: note, error: note, debug: note }
    const away = new KubernetesError({ status: 500, reason: 'InternalError', message: 'broken' })
    await world({ log, fail: () => away }).ask()
    await world({ log, stored: undefined }).ask()
    assert.ok(lines.length > 0)
    assert.equal(JSON.stringify(lines).includes(TOKEN), false)
  })
})
