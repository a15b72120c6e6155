import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type OwnWorld, startOwnWorld } from './local/own-world.ts'
import { SCENARIOS } from './scenarios/all.ts'
import { findLeaks, outputsOf } from './secrecy.ts'

/** Milliseconds of load until the certificates, of 30 s, are judged. The tour takes two minutes. */
const SOAK_MS = 75_000

let world: OwnWorld
const told: string[] = []

before(async () => {
  world = await startOwnWorld({ soakMs: SOAK_MS })
  await world.load()
})

after(async () => {
  await world?.stop()
})

describe('the tour of the shop, on a mesh whose certificates live 30 s, under load', () => {
  for (const scenario of SCENARIOS) {
    it(scenario.title, async () => {
      for await (const { sent, got, said } of scenario.run(world)) told.push(`${sent} ${got} ${said}`)
    })
  }

  it('T31: nothing secret of this run is in anything that the mesh says of itself', async () => {
    const outputs = new Map([...(await outputsOf(world)), ['the tour itself', told.join('\n')]])
    assert.ok(world.vault.needles().size > 100, `${world.vault.needles().size} secrets were looked for`)
    assert.ok(outputs.size > 50)
    assert.deepEqual(await findLeaks(world, outputs), [])
  })
})
