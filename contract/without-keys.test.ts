import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { decode } from './codec.ts'
import { withoutPrivateKeys } from './without-keys.ts'
import { WorkloadConfig } from './workload-config.ts'

test('T31: a config as it is shown has no credential by which an authorization server is asked', () => {
  const text = readFileSync(join(import.meta.dirname, 'testdata/v3/config-introspection.json'), 'utf8')
  const config = decode(WorkloadConfig, text)
  assert.ok(config.ok, JSON.stringify(config))
  assert.match(text, /Basic bWVzaDpzZWNyZXQ=/)
  const shown = JSON.stringify(withoutPrivateKeys(config.value))
  assert.doesNotMatch(shown, /Basic|bWVzaDpzZWNyZXQ=/)
  assert.match(shown, /\[redacted\]/)
  // Names of headers are no secrets.
  assert.match(shown, /"name":"authorization"/)
  assert.match(JSON.stringify(config.value), /Basic bWVzaDpzZWNyZXQ=/, 'what is obeyed is as it was')
})

test('T31: nor has it what seals the sessions of a gateway, or proves it to the provider', () => {
  const text = readFileSync(join(import.meta.dirname, 'testdata/v3/config-oidc.json'), 'utf8')
  const config = decode(WorkloadConfig, text)
  assert.ok(config.ok, JSON.stringify(config))
  assert.match(text, /the secret of the client/)
  const shown = JSON.stringify(withoutPrivateKeys(config.value))
  assert.doesNotMatch(shown, /the secret of|the key that/)
  assert.match(shown, /"clientSecret":"\[redacted\]"/)
  assert.match(shown, /"cookieKeys":\["\[redacted\]","\[redacted\]"\]/)
})
