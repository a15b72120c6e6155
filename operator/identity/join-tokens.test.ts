import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { parseSpiffeId } from '../../model/spiffe-id.ts'
import { parseWorkloadId } from '../../model/workload-id.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { createJoinAuthenticator } from './join-caller.ts'
import {
  createJoinTokens,
  JOIN_TOKEN_LIFETIME_MS,
  type JoinClaim,
  JoinTokensExhaustedError,
  MAX_OUTSTANDING_TOKENS,
} from './join-tokens.ts'

const directories: string[] = []
after(async () => {
  for (const directory of directories) await rm(directory, { recursive: true })
})

function claimFor(name: string): JoinClaim {
  const workload = parseWorkloadId(`shop/${name}`)
  const spiffeId = parseSpiffeId(`spiffe://cluster.local/ns/shop/sa/${name}`)
  assert.ok(workload.ok && spiffeId.ok)
  return { workload: workload.value, spiffeId: spiffeId.value }
}

async function newWorld() {
  const directory = join(await mkdtemp(join(tmpdir(), 'hauberk-join-')), 'join')
  directories.push(directory)
  const clock = createManualClock()
  return { directory, clock, tokens: createJoinTokens(directory, clock) }
}

describe('a join token', () => {
  it('T01: lets its own workload in, once', async () => {
    const { directory, clock, tokens } = await newWorld()
    const token = await tokens.mint(claimFor('orders'))
    const operator = createJoinTokens(directory, clock)
    assert.deepEqual(await operator.redeem(token), claimFor('orders'))
    assert.equal(await operator.redeem(token), undefined)
    assert.deepEqual(await readdir(directory), [])
  })

  it('T01: is taken by one of many that try at once', async () => {
    const { tokens } = await newWorld()
    const token = await tokens.mint(claimFor('orders'))
    const taken = await Promise.all(Array.from({ length: 20 }, () => tokens.redeem(token)))
    assert.equal(taken.filter((claim) => claim !== undefined).length, 1)
  })

  it('T01: is worth nothing after 60 s, and does not come back', async () => {
    const { clock, tokens } = await newWorld()
    const kept = await tokens.mint(claimFor('orders'))
    await clock.advance(JOIN_TOKEN_LIFETIME_MS - 1)
    assert.ok(await tokens.redeem(kept))
    const late = await tokens.mint(claimFor('orders'))
    await clock.advance(JOIN_TOKEN_LIFETIME_MS)
    assert.equal(await tokens.redeem(late), undefined)
    assert.equal(await tokens.redeem(late), undefined)
  })

  it('T01: does not live longer because a clock was set back', async () => {
    const { clock, tokens } = await newWorld()
    const token = await tokens.mint(claimFor('orders'))
    clock.jump(-3_600_000)
    assert.equal(await tokens.redeem(token), undefined)
  })

  it('T01: is refused when it is wrong in any way', async () => {
    const { directory, tokens } = await newWorld()
    const token = await tokens.mint(claimFor('orders'))
    const other = token.startsWith('A') ? `B${token.slice(1)}` : `A${token.slice(1)}`
    const [name] = await readdir(directory)
    for (const wrong of [
      '',
      other,
      token.slice(1),
      `${token}=`,
      `${token}\n`,
      ` ${token}`,
      name!,
      '../../etc/passwd',
      `./${token}`,
    ]) {
      assert.equal(await tokens.redeem(wrong), undefined, wrong)
    }
    assert.ok(await tokens.redeem(token))
  })

  it('T01: of another workload makes nobody into this one', async () => {
    const { tokens } = await newWorld()
    const catalog = await tokens.mint(claimFor('catalog'))
    await tokens.mint(claimFor('orders'))
    const verdict = await createJoinAuthenticator(tokens).authenticate({
      bearer: catalog,
      certificate: undefined,
      remoteAddress: '127.0.0.1',
    })
    assert.ok(verdict.ok)
    assert.equal(verdict.caller.spiffeId, 'spiffe://cluster.local/ns/shop/sa/catalog')
  })

  it('T31: is nowhere on disk, only its hash is, in a file for nobody else', async () => {
    const { directory, tokens } = await newWorld()
    const token = await tokens.mint(claimFor('orders'))
    assert.match(token, /^[A-Za-z0-9_-]{43}$/)
    const names = await readdir(directory)
    assert.equal(names.length, 1)
    const path = join(directory, names[0]!)
    assert.ok(!path.includes(token))
    assert.ok(!(await readFile(path, 'utf8')).includes(token))
    assert.equal((await stat(path)).mode & 0o777, 0o600)
    assert.equal((await stat(directory)).mode & 0o777, 0o700)
  })

  it('T04: is one of a bounded number; expired ones make room', async () => {
    const { directory, clock, tokens } = await newWorld()
    await mkdir(directory, { mode: 0o700 })
    const entry = JSON.stringify({ ...claimFor('orders'), expiresAtMs: clock.now() + JOIN_TOKEN_LIFETIME_MS })
    for (let i = 0; i < MAX_OUTSTANDING_TOKENS; i++) {
      await writeFile(join(directory, i.toString(16).padStart(64, '0')), entry, { mode: 0o600 })
    }
    await assert.rejects(tokens.mint(claimFor('orders')), JoinTokensExhaustedError)
    await clock.advance(JOIN_TOKEN_LIFETIME_MS)
    assert.ok(await tokens.redeem(await tokens.mint(claimFor('orders'))))
    assert.deepEqual(await readdir(directory), [])
  })

  it('with a damaged entry is refused', async () => {
    const { directory, tokens } = await newWorld()
    for (const damage of ['', 'null', '{}', '{"workload":"x","spiffeId":"y","expiresAtMs":9e15}', 'x'.repeat(10_000)]) {
      const token = await tokens.mint(claimFor('orders'))
      for (const name of await readdir(directory)) await writeFile(join(directory, name), damage)
      assert.equal(await tokens.redeem(token), undefined)
    }
  })
})
