import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { snapshotOf } from '../store/snapshot.ts'
import { gatewaysOf } from '../translate/gateways.ts'
import { resourcesIn } from '../translate/testing/world.ts'
import { judgeKeyPair } from './judge-key-pair.ts'

const directory = mkdtempSync(join(tmpdir(), 'hauberk-key-pair-'))
after(() => rmSync(directory, { recursive: true }))

/** As people make them. */
function openssl(...args: readonly string[]): void {
  execFileSync('openssl', args, { cwd: directory, stdio: 'ignore' })
}

function pair(name: string, ...algorithm: readonly string[]): { readonly certificate: string; readonly key: string } {
  const files = ['-keyout', `${name}.key`, '-out', `${name}.crt`]
  openssl('req', '-x509', '-nodes', '-subj', '/CN=shop.example', '-days', '2', '-newkey', ...algorithm, ...files)
  const read = (file: string) => readFileSync(join(directory, file), 'utf8')
  return { certificate: read(`${name}.crt`), key: read(`${name}.key`) }
}

const EC = ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256']

test('a certificate and its key can be served, whatever their kind and form', () => {
  const ec = pair('ec', ...EC)
  const rsa = pair('rsa', 'rsa:2048')
  openssl('ec', '-in', 'ec.key', '-out', 'sec1.key')
  openssl('rsa', '-in', 'rsa.key', '-traditional', '-out', 'pkcs1.key')
  const sec1 = readFileSync(join(directory, 'sec1.key'), 'utf8')
  const pkcs1 = readFileSync(join(directory, 'pkcs1.key'), 'utf8')
  assert.match(sec1, /BEGIN EC PRIVATE KEY/)
  assert.match(pkcs1, /BEGIN RSA PRIVATE KEY/)
  assert.equal(judgeKeyPair(ec.certificate, ec.key), undefined)
  assert.equal(judgeKeyPair(ec.certificate, sec1), undefined)
  assert.equal(judgeKeyPair(rsa.certificate, rsa.key), undefined)
  assert.equal(judgeKeyPair(rsa.certificate, pkcs1), undefined)
  assert.equal(judgeKeyPair(`${rsa.certificate}${ec.certificate}`, rsa.key), undefined)
})

test('what cannot be served is told with the reason, and nothing of the key', () => {
  const one = pair('one', ...EC)
  const other = pair('other', ...EC)
  const weak = pair('weak', 'rsa:1024')
  openssl('pkcs8', '-topk8', '-in', 'one.key', '-out', 'encrypted.key', '-passout', 'pass:secret')
  const encrypted = readFileSync(join(directory, 'encrypted.key'), 'utf8')
  assert.equal(judgeKeyPair(one.certificate, other.key), 'tls.key is not the key of the certificate in tls.crt')
  assert.equal(judgeKeyPair(one.certificate, encrypted), 'tls.key is encrypted')
  assert.equal(judgeKeyPair(weak.certificate, weak.key), 'TLS cannot be served with it: ee key too small')
  const cut = `${one.certificate.slice(0, 200)}\n-----END CERTIFICATE-----\n`
  assert.equal(judgeKeyPair(cut, one.key), 'tls.crt begins with no certificate that can be read')
  assert.equal(judgeKeyPair(one.certificate, 'nonsense'), 'tls.key holds no private key that can be read')
  const broken = `${one.certificate}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`
  assert.match(judgeKeyPair(broken, one.key) ?? '', /^TLS cannot be served with it: /)
})

test('a Secret whose certificate and key do not fit does not resolve, and each Secret is judged once', () => {
  const one = pair('first', ...EC)
  const other = pair('second', ...EC)
  const secret = (name: string, certificate: string, key: string) => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: 'shop' },
    stringData: { 'tls.crt': certificate, 'tls.key': key },
  })
  const world = resourcesIn(`
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: hauberk}
spec: {controllerName: hauberk.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  gatewayClassName: hauberk
  listeners:
  - {name: fits, port: 443, protocol: HTTPS, hostname: a.example, tls: {certificateRefs: [{name: fits}]}}
  - {name: does-not, port: 443, protocol: HTTPS, hostname: b.example, tls: {certificateRefs: [{name: does-not}]}}
  - {name: both, port: 443, protocol: HTTPS, hostname: c.example, tls: {certificateRefs: [{name: fits}, {name: does-not}]}}
`)
  const snapshot = snapshotOf([
    ...world,
    secret('fits', one.certificate, one.key),
    secret('does-not', one.certificate, other.key),
  ])
  let judged = 0
  const judge = (certificate: string, key: string) => {
    judged += 1
    return judgeKeyPair(certificate, key)
  }
  const [gateway] = gatewaysOf(snapshot, judge).gateways
  const standing = gateway?.listeners.map(({ name, certificates, resolvedRefs: { status, reason } }) => {
    return `${name} ${certificates.length} ${status} ${reason}`
  })
  assert.deepEqual(standing, [
    'fits 1 True ResolvedRefs',
    'does-not 0 False InvalidCertificateRef',
    'both 1 False InvalidCertificateRef',
  ])
  assert.equal(
    gateway?.listeners[1]?.resolvedRefs.message,
    'Secret shop/does-not: tls.key is not the key of the certificate in tls.crt',
  )
  gatewaysOf(snapshot, judge)
  assert.equal(judged, 2)
})
