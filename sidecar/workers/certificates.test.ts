import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ServingCertificate } from '../identity/serving-certificate.ts'
import { followCertificates } from './certificates.ts'

const certificate = (hostname: string, chain: string): ServingCertificate => ({
  ...{ hostname, chain, privateKey: 'key', root: 'root', notAfterMs: 0, receivedAtMs: 0 },
})

test('certificates of another worker are those that it has now, and told of when they are new', () => {
  const certificates = followCertificates()
  const told: string[] = []
  certificates.onChange(({ hostname, chain }) => told.push(`${hostname} ${chain}`))
  certificates.replace([certificate('a', '1'), certificate('b', '1')])
  const kept = certificates.get('a')
  certificates.replace([certificate('a', '1'), certificate('b', '2')])
  assert.deepEqual(told, ['a 1', 'b 1', 'b 2'])
  assert.equal(certificates.get('a'), kept)
  assert.equal(certificates.get('b')?.chain, '2')
  certificates.replace([certificate('b', '2')])
  assert.equal(certificates.get('a'), undefined)
})
