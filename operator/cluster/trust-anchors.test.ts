import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createTestCa } from '../../model/x509/testing/test-ca.ts'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { type Asked, scriptServer } from '../kubernetes/testing/api-server.ts'
import { snapshotOf } from '../store/snapshot.ts'
import { resourcesIn } from '../translate/testing/world.ts'
import { createObjectStore, until } from './testing/object-store.ts'
import { keepTrustAnchors } from './trust-anchors.ts'

const OPTED_IN = 'labels: {hauberk.dev/inject: enabled}'

function namespace(name: string, more = ''): string {
  return `---\napiVersion: v1\nkind: Namespace\nmetadata: {name: ${name}${more === '' ? '' : `, ${more}`}}\n`
}

interface StartOptions {
  /** Writes that are answered 422. */
  readonly refuse?: (asked: Asked) => boolean
}

async function start(t: TestContext, yaml: string, { refuse = () => false }: StartOptions = {}) {
  const store = createObjectStore()
  const { client, asked } = await scriptServer(t, (one, answer) => {
    if (one.method === 'PATCH' && refuse(one)) answer.refuse(422, 'Invalid')
    else store.serve(one, answer)
  })
  const ended = new AbortController()
  const world = { snapshot: snapshotOf(resourcesIn(yaml)), roots: 'ROOT 1\n' }
  const anchors = keepTrustAnchors({
    client,
    snapshot: () => world.snapshot,
    roots: () => world.roots,
    clock: systemClock,
    random: () => 0.5,
    log: silentLog,
    signal: ended.signal,
  })
  t.after(async () => {
    ended.abort()
    await anchors.done
  })
  const path = (name: string) => `/api/v1/namespaces/${name}/configmaps/hauberk-trust-anchors`
  const rootsIn = (name: string) => store.objects.get(path(name))?.data['ca.crt'] as string | undefined
  const writes = () => asked.filter(({ method }) => method === 'PATCH').length
  return { store, world, anchors, path, rootsIn, writes }
}

const WORLD = [namespace('hauberk-system'), namespace('shop', OPTED_IN), namespace('other')].join('')

test('the roots are in each namespace of the mesh and in ours, and nowhere else', async (t) => {
  const { rootsIn, store } = await start(t, WORLD)
  await until(() => rootsIn('shop') !== undefined && rootsIn('hauberk-system') !== undefined, 'both have them')
  assert.equal(rootsIn('shop'), 'ROOT 1\n')
  assert.equal(store.objects.size, 2)
})

test('a namespace that joins has them, one that is being deleted is left alone', async (t) => {
  const { world, anchors, rootsIn } = await start(t, WORLD)
  await until(() => rootsIn('shop') !== undefined, 'the first has them')
  const leaving = namespace('leaving', `${OPTED_IN}, deletionTimestamp: '2026-01-01T00:00:00Z'`)
  world.snapshot = snapshotOf(resourcesIn(WORLD + namespace('new', OPTED_IN) + leaving))
  anchors.touch()
  await until(() => rootsIn('new') !== undefined, 'the new one has them')
  assert.equal(rootsIn('leaving'), undefined)
})

test('what somebody changed or deleted is put right', async (t) => {
  const { store, path, rootsIn } = await start(t, WORLD)
  await until(() => rootsIn('shop') === 'ROOT 1\n', 'they are there')
  store.put(path('shop'), { metadata: {}, data: { 'ca.crt': 'ROOT of somebody' } })
  await until(() => rootsIn('shop') === 'ROOT 1\n', 'they are back')
  store.remove(path('shop'))
  await until(() => rootsIn('shop') === 'ROOT 1\n', 'they are there again')
})

test('other roots are given to everybody, the same ones to nobody twice', async (t) => {
  const { world, anchors, rootsIn, writes } = await start(t, WORLD)
  await until(() => rootsIn('shop') !== undefined && rootsIn('hauberk-system') !== undefined, 'both have them')
  const before = writes()
  for (let i = 0; i < 10; i++) anchors.touch()
  world.roots = 'ROOT 1\nROOT 2\n'
  anchors.touch()
  await until(() => rootsIn('shop') === world.roots && rootsIn('hauberk-system') === world.roots, 'both have the new')
  assert.equal(writes(), before + 2)
})

test('F05: one that refuses to be changed is named with why and what to do, and is mended once it is gone', async (t) => {
  let isImmutable = false
  const refuse = ({ path }: Asked) => isImmutable && path.includes('/shop/')
  const { store, anchors, path, rootsIn } = await start(t, WORLD, { refuse })
  await until(() => rootsIn('shop') === 'ROOT 1\n', 'they are there')
  isImmutable = true
  store.put(path('shop'), { metadata: {}, data: { 'ca.crt': 'ROOT of somebody' } })
  const trouble = () => anchors.members().find(({ name }) => name.startsWith('ConfigMap shop/'))?.trouble
  await until(() => trouble() !== undefined, 'that is told')
  assert.match(
    trouble() ?? '',
    /^it refuses to be changed: delete it, and it is made anew\. PATCH .*: refused: Invalid$/,
  )
  isImmutable = false
  store.remove(path('shop'))
  await until(() => rootsIn('shop') === 'ROOT 1\n' && trouble() === undefined, 'it is made anew')
})

test('F05: who waits for the next root waits for each namespace that does not have it yet', async (t) => {
  const [old, next] = [await createTestCa('old'), await createTestCa('next')]
  const { store, world, anchors, path, rootsIn } = await start(t, WORLD)
  world.roots = old.root
  anchors.touch()
  await until(() => rootsIn('shop') === old.root && rootsIn('hauberk-system') === old.root, 'both have the old one')
  const known = () => new Map(anchors.members().map(({ name, trusts }) => [name, trusts?.size]))
  const both = (inShop: number | undefined, inOurs: number | undefined) =>
    new Map([
      ['ConfigMap hauberk-system/hauberk-trust-anchors', inOurs],
      ['ConfigMap shop/hauberk-trust-anchors', inShop],
    ])
  await until(() => known().get('ConfigMap shop/hauberk-trust-anchors') === 1, 'that is seen')
  assert.deepEqual(known(), both(1, 1))
  world.roots = old.root + next.root
  anchors.touch()
  await until(() => [...known().values()].every((roots) => roots === 2), 'both have both')
  world.snapshot = snapshotOf(resourcesIn(WORLD + namespace('new', OPTED_IN)))
  assert.equal(known().get('ConfigMap new/hauberk-trust-anchors'), undefined)
  assert.equal(known().size, 3)
  store.put(path('shop'), { metadata: {}, data: { 'ca.crt': 'garbage' } })
  await until(() => known().get('ConfigMap shop/hauberk-trust-anchors') === 2, 'and again')
})
