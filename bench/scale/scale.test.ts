import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { canonicalJson } from '../../contract/codec.ts'
import { createValidator } from '../../operator/schema/validator.ts'
import { snapshotOf } from '../../operator/store/snapshot.ts'
import { translate } from '../../operator/translate/translate.ts'
import { SECTIONS } from '../../policies/sections.ts'
import { measure } from './measure.ts'
import { createMesh } from './mesh.ts'
import { readScaleOptions, UsageError } from './options.ts'
import { percentilesOf } from './percentiles.ts'
import { formatResult } from './report.ts'
import { createSharedDecode, MAX_TEXTS } from './shared-decode.ts'
import { everyone, podsOf, resourcesOf, securityPolicy } from './world.ts'

const SIZE = { workloads: 2, podsPerWorkload: 5 }

describe('one operator and its sidecars', () => {
  it('are measured from the first connection to the last renewal', { timeout: 120_000 }, async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'hauberk-scale-'))
    t.after(() => rm(directory, { recursive: true, force: true }))
    const mesh = await createMesh({ size: { workloads: 5, podsPerWorkload: 2 }, processes: 2, directory })
    t.after(() => mesh.close())
    const result = await measure(mesh, {
      sidecars: 10,
      podsPerWorkload: 2,
      rounds: 1,
      renewals: 4,
      settleMs: 100,
      quietMs: 300,
      progress() {},
    })
    assert.equal(result.memory.atRest.sessions, 10)
    assert.deepEqual({ told: result.toOne.told, others: result.toOne.others }, { told: 2, others: 0 })
    assert.ok(result.storm.current.max >= result.storm.connected.p50)
    assert.equal(result.stampede.renewals, 4)
    assert.equal(result.stampede.attempts, 4 + result.stampede.sentAway + result.stampede.unreachable)
    assert.match(formatResult(result), /\| one policy to all, p99 over sidecars +\| +\d+ ms/)
  })
})

describe('the world', () => {
  const resources = resourcesOf(SIZE)

  it('is what the schemas and translation take without a word', () => {
    const validate = createValidator(SECTIONS)
    const edits = [everyone(2, ['team-0']), securityPolicy('team-0', 'app-0', 2)]
    for (const resource of [...resources, ...edits]) {
      assert.equal(validate(resource).kind, 'valid', JSON.stringify(validate(resource)))
    }
    const sha256 = (text: string) => createHash('sha256').update(text).digest('base64url')
    const { configs, reports } = translate(snapshotOf(resources), { sha256, mesh: { roots: [] } })
    assert.equal(configs.size, SIZE.workloads)
    assert.deepEqual(
      [...reports.values()].flatMap(({ issues }) => issues),
      [],
    )
  })

  it('has as many pods as sidecars, each with an address of its own', () => {
    const pods = podsOf({ workloads: 2_000, podsPerWorkload: 5 })
    assert.equal(new Set(pods.map(({ pod }) => pod)).size, 10_000)
    assert.equal(new Set(pods.map(({ address }) => address)).size, 10_000)
    assert.ok(pods.every(({ address }) => /^127\.\d+\.\d+\.\d+$/.test(address)))
    assert.equal(resources.filter(({ kind }) => kind === 'Pod').length, podsOf(SIZE).length)
  })
})

describe('a shared decode', () => {
  it('gives the same for the same text, and remembers so many and no more', () => {
    const decode = createSharedDecode()
    const text = (i: number) => canonicalJson({ type: 'keys-checked', issuer: `i${i}` })
    const first = decode(text(0))
    assert.ok(first.ok)
    assert.equal(decode(text(0)), first)
    for (let i = 1; i <= MAX_TEXTS; i += 1) decode(text(i))
    assert.notEqual(decode(text(0)), first)
    assert.equal(decode('{').ok, false)
  })
})

describe('percentiles', () => {
  it('are values that were measured', () => {
    const values = Array.from({ length: 1_000 }, (_, i) => i + 1)
    assert.deepEqual(percentilesOf(values), { p50: 500, p99: 990, max: 1_000 })
    assert.deepEqual(percentilesOf([7]), { p50: 7, p99: 7, max: 7 })
    assert.throws(() => percentilesOf([]), RangeError)
  })
})

describe('command line', () => {
  it('has defaults, spreads many sidecars over processes, and refuses what it does not understand', () => {
    const { size, processes, renewals, rounds, pin } = readScaleOptions([])
    assert.deepEqual(
      { size, processes, renewals, rounds, pin },
      { size: { workloads: 200, podsPerWorkload: 5 }, processes: 1, renewals: 1_000, rounds: 5, pin: true },
    )
    assert.equal(readScaleOptions(['--sidecars', '10000']).processes, 4)
    assert.equal(readScaleOptions(['--sidecars', '50']).renewals, 50)
    assert.throws(() => readScaleOptions(['--sidecars', '7']), UsageError)
    assert.throws(() => readScaleOptions(['--sidecars', '50', '--renewals', '51']), UsageError)
    assert.throws(() => readScaleOptions(['--fast']), UsageError)
  })
})
