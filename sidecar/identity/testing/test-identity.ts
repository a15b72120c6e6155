import assert from 'node:assert/strict'
import { parseSpiffeId, type SpiffeId } from '../../../model/spiffe-id.ts'
import type { TestCa, TestCertificate } from '../../../model/x509/testing/test-ca.ts'
import { createIdentity, type Identity } from '../identity.ts'

/** `spiffe://cluster.local/ns/shop/sa/<name>`. */
export function testId(name: string): SpiffeId {
  const id = parseSpiffeId(`spiffe://cluster.local/ns/shop/sa/${name}`)
  assert.ok(id.ok)
  return id.value
}

/** A sound identity of the mesh of `ca`. */
export async function testIdentity(ca: TestCa, name: string, notAfterMs?: number): Promise<Identity> {
  const leaf = await ca.issue({ uris: [testId(name)], ...(notAfterMs === undefined ? {} : { notAfterMs }) })
  const parts = { ...leaf, trustBundle: [ca.root], receivedAtMs: Date.now() }
  const identity = createIdentity(parts, testId(name), Date.now())
  assert.ok(identity.ok, JSON.stringify(identity))
  return identity.value
}

/** Somebody who holds this certificate and speaks TLS as a sidecar does, whatever the certificate is. */
export function impostor(certificate: TestCertificate, trustBundle: readonly string[]): Identity {
  const spiffeId = testId('impostor')
  return {
    spiffeId,
    trustDomain: 'cluster.local' as Identity['trustDomain'],
    privateKey: certificate.privateKey,
    chain: certificate.chain,
    trustBundle,
    trustedRoots: [],
    distrustedRoots: [],
    notAfterMs: Date.now() + 60_000,
    receivedAtMs: Date.now(),
    root: '',
  }
}
