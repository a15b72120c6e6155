import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runtimeWarning } from './runtime-check.ts'

test('a patched release of a supported line is fine, and so is a line that came later', () => {
  for (const version of ['v24.22.1', 'v24.30.0', 'v26.12.1', 'v28.0.0'])
    assert.equal(runtimeWarning(version), undefined)
})

test('an unpatched release of a supported line is named with the release to use', () => {
  assert.match(runtimeWarning('v24.22.0') ?? '', /v24\.22\.0 has published vulnerabilities: use 24\.22\.1/)
  assert.match(runtimeWarning('v26.9.9') ?? '', /26\.12\.1/)
})

test('a line without support is named', () => {
  assert.match(runtimeWarning('v20.20.2') ?? '', /end-of-life/)
  assert.match(runtimeWarning('v25.9.0') ?? '', /end-of-life/)
})

test('a version nobody understands is not called safe', () => {
  assert.match(runtimeWarning('deno 2') ?? '', /not understood/)
})
