import type { webcrypto } from 'node:crypto'
import type { HostnamePattern } from '../../model/hostname.ts'
import type { SpiffeId } from '../../model/spiffe-id.ts'
import type { Certificate } from '../../model/x509/certificate.ts'
import { randomSerial, SIGNING_ALGORITHM } from './signing.ts'
import { validity } from './validity.ts'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  type JsonGeneralNames,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from './x509-library.ts'

/** What a leaf says. `publicKey` is the DER of a P-256 SubjectPublicKeyInfo: all that is ever taken from a request. */
export type LeafRequest =
  /** X509-SVID: one URI name, both ends of mTLS. */
  | { readonly profile: 'svid'; readonly publicKey: Uint8Array; readonly spiffeId: SpiffeId }
  /** A gateway's HTTPS listener: DNS names, server only, no identity in the mesh. */
  | { readonly profile: 'serving'; readonly publicKey: Uint8Array; readonly dnsNames: readonly HostnamePattern[] }

/** A CA that is ready to sign: all that can be is worked out beforehand. */
export interface LeafSigner {
  readonly certificate: Certificate
  sign(request: LeafRequest, nowMs: number, lifetimeMs: number): Promise<Uint8Array>
}

export async function createLeafSigner(certificate: Certificate, signingKey: webcrypto.CryptoKey): Promise<LeafSigner> {
  const signer = new X509Certificate(certificate.der.slice())
  const common: readonly Extension[] = [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    await AuthorityKeyIdentifierExtension.create(signer.publicKey),
  ]
  return {
    certificate,
    async sign(request, nowMs, lifetimeMs) {
      const leaf = await X509CertificateGenerator.create({
        serialNumber: randomSerial(),
        issuer: signer.subjectName,
        ...validity(nowMs, lifetimeMs, certificate.notAfterMs),
        publicKey: request.publicKey.slice(),
        signingKey,
        signingAlgorithm: SIGNING_ALGORITHM,
        extensions: [...common, ...namesAndUses(request)],
      })
      return new Uint8Array(leaf.rawData)
    },
  }
}

function namesAndUses(request: LeafRequest): readonly Extension[] {
  const { serverAuth, clientAuth } = ExtendedKeyUsage
  switch (request.profile) {
    case 'svid':
      return [
        new ExtendedKeyUsageExtension([serverAuth, clientAuth]),
        subjectAltName([{ type: 'url', value: request.spiffeId }]),
      ]
    case 'serving':
      return [
        new ExtendedKeyUsageExtension([serverAuth]),
        subjectAltName(request.dnsNames.map((value) => ({ type: 'dns', value }))),
      ]
  }
}

/** Critical, because the subject is empty (RFC 5280, 4.2.1.6): names are in one place only. */
function subjectAltName(names: JsonGeneralNames): Extension {
  return new SubjectAlternativeNameExtension(names, true)
}
