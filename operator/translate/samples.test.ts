import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { describeIssue } from '../../model/result.ts'
import { resourcesIn, translateAll } from './testing/world.ts'

const SHOP = new URL('../../samples/shop/', import.meta.url)

describe('the shop', () => {
  const resources = readdirSync(SHOP)
    .filter((file) => file.endsWith('.yaml') && file !== 'kustomization.yaml')
    .flatMap((file) => resourcesIn(readFileSync(new URL(file, SHOP), 'utf8')))
  const { configs, reports } = translateAll(resources)

  it('is understood in whole, and everything that it refers to is there', () => {
    const issues = [...reports.values()].flatMap((report) => report.issues)
    assert.deepEqual(issues.map(describeIssue), [])
    for (const [key, { accepted, resolvedRefs, programmed, parents = [] }] of reports) {
      assert.notEqual(accepted?.status, 'False', key)
      assert.notEqual(resolvedRefs?.status, 'False', key)
      assert.equal(programmed, undefined, key)
      for (const parent of parents) assert.equal(parent.accepted.status, 'True', key)
    }
  })

  it('has no port that is open to plaintext, and no route that is left unresolved', () => {
    for (const { listeners } of configs.values()) {
      for (const listener of listeners) {
        if (listener.kind === 'inbound') assert.equal(listener.mtls, 'Strict')
        const slots = listener.routes.flatMap(({ filters }) => Object.values(filters).flat())
        for (const slot of slots) assert.equal(slot.state, 'resolved')
      }
    }
  })
})
