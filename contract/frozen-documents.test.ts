import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type * as v from 'valibot'
import { FILTERS } from '../policies/filters.ts'
import { canonicalJson, decode, read } from './codec.ts'
import { EndpointsDocument } from './endpoints.ts'
import { KeysDocument } from './keys.ts'
import { RevocationsDocument } from './revocations.ts'
import { OperatorMessage, SidecarMessage } from './session.ts'
import { WorkloadConfig } from './workload-config.ts'

const TESTDATA = join(import.meta.dirname, 'testdata')

/** Documents of released versions, never edited: what an operator of that version sent, or a sidecar said. */
const FROZEN = readdirSync(TESTDATA).flatMap((version) =>
  readdirSync(join(TESTDATA, version)).map((file) => ({
    name: `${version}/${file}`,
    text: readFileSync(join(TESTDATA, version, file), 'utf8'),
  })),
)

function schemaOf(name: string): v.GenericSchema {
  if (name.includes('/config-')) return WorkloadConfig
  if (name.includes('/revocations')) return RevocationsDocument
  return name.includes('/endpoints') ? EndpointsDocument : KeysDocument
}

for (const { name, text } of FROZEN) {
  if (name.includes('-messages')) {
    test(`F20: every message of ${name} is still understood`, () => {
      const schema = name.includes('sidecar') ? SidecarMessage : OperatorMessage
      for (const message of JSON.parse(text) as readonly unknown[]) {
        const decoded = read<v.GenericSchema>(schema, message)
        assert.ok(decoded.ok, JSON.stringify(decoded))
        assert.equal(canonicalJson(decoded.value), canonicalJson(message))
      }
    })
    continue
  }

  test(`F20: ${name} still decodes, and nothing of it is lost`, () => {
    const decoded = decode(schemaOf(name), text)
    assert.ok(decoded.ok, JSON.stringify(decoded))
    assert.equal(canonicalJson(decoded.value), canonicalJson(JSON.parse(text)))
  })

  test(`F20: a field that this version does not know makes ${name} refused, wherever it stands`, () => {
    const document = JSON.parse(text) as Record<string, unknown>
    assert.equal(read(schemaOf(name), { ...document, surprise: true }).ok, false)
    if (!name.includes('/config-')) return
    const { listeners } = document as { listeners: readonly object[] }
    const changed = { ...document, listeners: listeners.map((listener) => ({ ...listener, surprise: true })) }
    assert.equal(read(WorkloadConfig, changed).ok, false)
  })

  if (name.includes('/config-')) {
    test(`F20: every filter still reads its config in ${name}, and refuses a field that it does not know`, () => {
      const config = decode(WorkloadConfig, text)
      assert.ok(config.ok)
      let read = 0
      for (const listener of [...config.value.listeners, ...(config.value.streams ?? [])]) {
        const all = [...listener.routes.map(({ filters }) => filters), 'filters' in listener ? listener.filters : {}]
        for (const [filterName, slots] of all.flatMap((filters) => Object.entries(filters))) {
          const filter = FILTERS.find((one) => one.name === filterName)
          assert.ok(filter, filterName)
          for (const slot of slots) {
            if (slot.state !== 'resolved') continue
            const decoded = filter.decode(slot.config)
            assert.ok(decoded.ok, `${filterName}: ${JSON.stringify(decoded)}`)
            assert.equal(filter.decode({ ...(slot.config as object), surprise: true }).ok, false, filterName)
            read += 1
          }
        }
      }
      assert.ok(read > 0)
    })
  }
}
