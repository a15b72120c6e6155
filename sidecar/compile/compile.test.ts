import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FilterSlot, RouteConfig, WorkloadConfig } from '../../contract/workload-config.ts'
import { defineFilter, type Filter, type FilterDeps } from '../../model/filter.ts'
import type { Facts, RequestView } from '../../model/request.ts'
import { fail, issue, ok } from '../../model/result.ts'
import { CONTINUE, type Denial } from '../../model/verdict.ts'
import { type CompileDeps, compile } from './compile.ts'
import { decide } from './decide.ts'
import type { Pipeline } from './pipeline.ts'

const deps: CompileDeps = {
  clock: { now: () => 0, monotonic: () => 0 },
  crypto: { sha256: (text) => text, importJwk: () => undefined, verify: () => false },
  keys: { generation: 0, keysOf: () => undefined, refresh: async () => {} },
  count: () => {},
}

const SPENT: Denial = { name: 'quota-spent', status: 429, title: 'Enough.' }
const SHUT: Denial = { name: 'gate-shut', status: 403, title: 'No.' }

/** Lets the first `allow` requests pass, remembering how many came. */
const quota = defineFilter<{ readonly allow: number; readonly name: string }>({
  name: 'quota',
  denials: [SPENT],
  repeatable: false,
  tcp: false,
  decode(wire) {
    const config = wire as { readonly allow: number; readonly name: string }
    return config.allow >= 0 ? ok(config) : fail(issue('bad', 'allow', 'is negative', 'be 0 or more'))
  },
  compile({ allow, name }, { remember }: FilterDeps) {
    const state = remember(name, () => ({ seen: 0 }))
    return ok(() => (++state.seen > allow ? { kind: 'deny', denial: SPENT, rule: name } : CONTINUE))
  },
  explain: () => [],
})

const gate = defineFilter<{ readonly say: 'yes' | 'no' | 'throw' | 'later' | 'reject' }>({
  name: 'gate',
  denials: [SHUT],
  repeatable: true,
  tcp: true,
  decode: (wire) => ok(wire as { readonly say: 'yes' }),
  compile({ say }) {
    const no = { kind: 'deny', denial: SHUT } as const
    switch (say) {
      case 'yes':
        return ok(() => CONTINUE)
      case 'no':
        return ok(() => no)
      case 'throw':
        return ok(() => {
          throw new Error('broken')
        })
      case 'later':
        return ok(async () => no)
      case 'reject':
        return ok(() => Promise.reject(new Error('broken later')))
    }
  },
  explain: () => [],
})

const filters = [gate, quota] as readonly Filter[]

function slot(config: unknown, mode: 'enforce' | 'dry-run' = 'enforce'): FilterSlot {
  return { state: 'resolved', mode, origins: ['shop/p@1'], config }
}

function configOf(slots: RouteConfig['filters'], version = '1'): WorkloadConfig {
  return {
    contract: 1,
    version,
    workload: 'shop/orders',
    role: 'sidecar',
    identity: { spiffeId: 'spiffe://mesh/ns/shop/sa/orders', trustDomain: 'mesh' },
    trustBundle: [],
    trustedHops: 0,
    listeners: [
      {
        kind: 'inbound',
        port: 8080,
        protocol: 'http',
        mtls: 'Strict',
        filters: {},
        routes: [
          {
            id: 'r',
            match: { hostnames: [], path: { type: 'prefix', value: '/' }, headers: [], query: [] },
            filters: slots,
            action: { kind: 'app', port: 8080, requestTimeoutMs: 0 },
          },
        ],
      },
    ],
    outbound: { services: [], egress: [] },
    upstreams: {},
  }
}

const request = {
  protocol: 'http',
  method: 'GET',
  path: '/',
  query: '',
  host: 'h',
  port: 8080,
  scheme: 'http',
  peer: { ip: '127.0.0.1' },
  clientIp: '127.0.0.1',
  header: () => undefined,
  headers: () => [],
} satisfies RequestView

function compiled(slots: RouteConfig['filters'], previous?: Pipeline): Pipeline {
  const result = compile(configOf(slots), previous, deps, filters)
  assert.ok(result.ok, JSON.stringify(result))
  return result.value
}

async function ask(pipeline: Pipeline) {
  const route = pipeline.inbound.get(8080)?.route(request)
  assert.ok(route)
  return await decide(route.chain, request, {} as Facts)
}

test('the first check that does not say continue decides', async () => {
  const pipeline = compiled({ gate: [slot({ say: 'no' })], quota: [slot({ allow: 0, name: 'q' })] })
  const { verdict, step } = await ask(pipeline)
  assert.equal(verdict.kind === 'deny' && verdict.denial.name, 'gate-shut')
  assert.deepEqual(step?.origins, ['shop/p@1'])
})

test('a check that throws, at once or later, has not said yes', async () => {
  for (const say of ['throw', 'reject'] as const) {
    const { verdict } = await ask(compiled({ gate: [slot({ say })] }))
    assert.equal(verdict.kind === 'deny' && verdict.denial.name, 'policy-error')
  }
})

test('an asynchronous check is waited for, and those after it are asked', async () => {
  const { verdict } = await ask(compiled({ gate: [slot({ say: 'later' })] }))
  assert.equal(verdict.kind, 'deny')
})

test('a dry run never changes the answer and is told of', async () => {
  const { verdict, wouldDeny } = await ask(compiled({ gate: [slot({ say: 'no' }, 'dry-run')] }))
  assert.equal(verdict.kind, 'continue')
  assert.equal(wouldDeny?.verdict.denial.name, 'gate-shut')
})

test('a dry run that breaks changes nothing either', async () => {
  const { verdict } = await ask(compiled({ gate: [slot({ say: 'reject' }, 'dry-run')] }))
  assert.equal(verdict.kind, 'continue')
})

test('a dry run does not spend what an enforced limit remembers', async () => {
  const pipeline = compiled({
    quota: [slot({ allow: 1, name: 'q' })],
    gate: [slot({ say: 'yes' }, 'dry-run')],
  })
  assert.equal((await ask(pipeline)).verdict.kind, 'continue')
  assert.equal((await ask(pipeline)).verdict.kind, 'deny')
})

test('a slot whose references do not resolve refuses everything and says why', async () => {
  const { verdict } = await ask(
    compiled({ gate: [{ state: 'unresolved', mode: 'enforce', origins: ['shop/p@1'], reason: 'no issuer corp' }] }),
  )
  assert.equal(verdict.kind === 'deny' && verdict.denial.status, 503)
  assert.equal(verdict.kind === 'deny' && verdict.detail, 'no issuer corp')
})

test('a push about something else leaves what a filter remembers alone', async () => {
  const first = compiled({ quota: [slot({ allow: 1, name: 'q' })] })
  await ask(first)
  const second = compiled({ quota: [slot({ allow: 1, name: 'q' })], gate: [slot({ say: 'yes' })] }, first)
  assert.equal((await ask(second)).verdict.kind, 'deny')
  const third = compiled({ quota: [slot({ allow: 1, name: 'q' })] }, second)
  assert.equal((await ask(third)).verdict.kind, 'deny', 'and the push after that')
})

test('memory that no filter asks for any more is forgotten', async () => {
  const first = compiled({ quota: [slot({ allow: 1, name: 'q' })] })
  await ask(first)
  const without = compiled({ gate: [slot({ say: 'yes' })] }, first)
  assert.equal(without.memory.values.size, 0)
  const again = compiled({ quota: [slot({ allow: 1, name: 'q' })] }, without)
  assert.equal((await ask(again)).verdict.kind, 'continue')
})

test('a config with a part that does not compile fails whole, with the path of each part', () => {
  const result = compile(
    configOf({ quota: [slot({ allow: -1, name: 'q' })], telepathy: [slot({})] }),
    undefined,
    deps,
    filters,
  )
  assert.equal(result.ok, false)
  assert.deepEqual(!result.ok && result.issues.map(({ path }) => path).sort(), [
    'listeners[0].routes[0].filters.quota[0].config.allow',
    'listeners[0].routes[0].filters.telepathy',
  ])
})

test('two slots of one mode are refused', () => {
  const result = compile(configOf({ gate: [slot({ say: 'yes' }), slot({ say: 'no' })] }), undefined, deps, filters)
  assert.equal(result.ok, false)
})

test('a route that is the very object of before is adopted as it is, with what its checks remember', async () => {
  const first = configOf({ gate: [slot({ say: 'yes' })], quota: [slot({ allow: 1, name: 'q' })] })
  const [listener] = first.listeners
  assert.ok(listener?.kind === 'inbound')
  const other = { ...listener.routes[0]!, id: 'other', match: { ...listener.routes[0]!.match, method: 'PUT' } }
  const second: WorkloadConfig = {
    ...first,
    version: '2',
    listeners: [{ ...listener, routes: [other, ...listener.routes] }],
  }
  const before = compile(first, undefined, deps, filters)
  assert.ok(before.ok)
  assert.equal((await ask(before.value)).verdict.kind, 'continue')
  const after = compile(second, before.value, deps, filters)
  assert.ok(after.ok)
  assert.equal(after.value.inbound.get(8080)?.route(request), before.value.inbound.get(8080)?.route(request))
  assert.equal((await ask(after.value)).verdict.kind, 'deny', 'the one request was had before')
  const third = compile(second, after.value, deps, filters)
  assert.ok(third.ok)
  assert.deepEqual([...third.value.memory.checks.keys()], [...after.value.memory.checks.keys()])
  assert.equal((await ask(third.value)).verdict.kind, 'deny')
  const alone = compile(second, after.value, deps, [...filters])
  assert.ok(alone.ok)
  assert.notEqual(alone.value.inbound.get(8080)?.route(request), after.value.inbound.get(8080)?.route(request))
})
