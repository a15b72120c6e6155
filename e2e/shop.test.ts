import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
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

  it('the session that the README shows prints what the README shows', async () => {
    const { commands, output } = readmeSession(world)
    const { stdout } = await promisify(execFile)('bash', ['-c', commands], { timeout: 60_000 })
    assert.equal(stdout, output)
  })

  it('T31: nothing secret of this run is in anything that the mesh says of itself', async () => {
    const outputs = new Map([...(await outputsOf(world)), ['the tour itself', told.join('\n')]])
    assert.ok(world.vault.needles().size > 100, `${world.vault.needles().size} secrets were looked for`)
    assert.ok(outputs.size > 50)
    assert.deepEqual(await findLeaks(world, outputs), [])
  })
})

/** The one `sh-session` block of the README, on this mesh instead of the one of `npm start`. */
function readmeSession({ stateDirectory, httpsPort }: OwnWorld): {
  readonly commands: string
  readonly output: string
} {
  const readme = readFileSync(join(import.meta.dirname, '..', 'README.md'), 'utf8')
  const lines = /^```sh-session\n([\s\S]*?)^```$/m.exec(readme)?.[1]?.trimEnd().split('\n') ?? []
  const commands = lines.filter((line) => line.startsWith('$ ')).map((line) => line.slice(2))
  const output = lines.filter((line) => !line.startsWith('$ ')).map((line) => `${line}\n`)
  assert.ok(commands.length > 0)
  return {
    commands: commands.join('\n').replaceAll('.hauberk/', `${stateDirectory}/`).replaceAll(':8443', `:${httpsPort}`),
    output: output.join(''),
  }
}
