import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { decode } from './codec.ts'
import { shownCertificates } from './shown-certificates.ts'
import { withoutPrivateKeys } from './without-keys.ts'
import { type ListenerCertificate, WorkloadConfig } from './workload-config.ts'

const TEXT = readFileSync(join(import.meta.dirname, 'testdata', 'v3', 'config-gateway-streams.json'), 'utf8')

function configWith(certificate: ListenerCertificate): WorkloadConfig {
  const decoded = decode(WorkloadConfig, TEXT)
  assert.ok(decoded.ok)
  const { listeners, streams = [], ...rest } = decoded.value
  return {
    ...rest,
    listeners: listeners.map((listener) =>
      listener.kind === 'gateway' ? { ...listener, certificates: [certificate] } : listener,
    ),
    streams: streams.map((stream) =>
      stream.mode === 'terminate' ? { ...stream, certificates: [certificate] } : stream,
    ),
  }
}

test('certificates are shown by listeners that read HTTP and by those that end TLS', () => {
  const certificate: ListenerCertificate = { source: 'mesh', hostname: 'db.example' }
  assert.deepEqual(shownCertificates(configWith(certificate)), [certificate, certificate])
})

test('T31: no private key of a listener is left in a config that is shown', () => {
  const config = configWith({ source: 'secret', name: 'shop/db', certificate: 'CHAIN', privateKey: 'VERY-SECRET' })
  assert.match(JSON.stringify(config), /VERY-SECRET/)
  const shown = withoutPrivateKeys(config)
  assert.doesNotMatch(JSON.stringify(shown), /VERY-SECRET/)
  assert.equal(shownCertificates(shown).length, 2)
})
