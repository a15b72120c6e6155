import assert from 'node:assert/strict'
import { test } from 'node:test'
import { getCiphers } from 'node:tls'
import { isAdequate } from './adequate-tls.ts'

test('of TLS 1.2 HTTP/2 takes ephemeral keys with authenticated encryption, and nothing else', () => {
  const names = getCiphers()
    .filter((name) => !name.startsWith('tls_'))
    .map((name) => name.toUpperCase())
  const adequate = names.filter((name) => isAdequate('TLSv1.2', name))
  assert.ok(adequate.includes('ECDHE-RSA-AES128-GCM-SHA256') && adequate.includes('ECDHE-ECDSA-CHACHA20-POLY1305'))
  for (const name of names) {
    // The list of Appendix A has every suite with CBC, RC4 or no encryption, and every one whose key is not ephemeral.
    const isListed = !/GCM|CCM|POLY1305/.test(name) || !/^(ECDHE|DHE)-/.test(name)
    assert.equal(adequate.includes(name), !isListed, name)
  }
  assert.equal(isAdequate('TLSv1.3', 'TLS_AES_128_GCM_SHA256'), true)
  assert.equal(isAdequate('TLSv1.1', 'ECDHE-RSA-AES128-GCM-SHA256'), false)
})
