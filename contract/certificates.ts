import * as v from 'valibot'

/**
 * How a sidecar gets certificates from an operator: one POST of JSON over TLS. Who asks is proven by a bearer token
 * (a join token, or a service-account token on Kubernetes) or, without one, by the SVID of the connection.
 */
export const CERTIFICATES_PATH = '/v1/certificates'

/** Bytes of a request body at most; the DER of the CSR in it may have 16,384. */
export const MAX_CERTIFICATE_REQUEST_BYTES = 32_768

/** Bytes of an answer at most: a chain, and a bundle of 16 roots. */
export const MAX_CERTIFICATE_ANSWER_BYTES = 262_144

export const CertificateRequest = v.variant('profile', [
  /** The caller's own identity: one SPIFFE id, for both ends of mTLS. */
  v.strictObject({ profile: v.literal('svid'), csr: v.string() }),
  /** For a gateway's HTTPS listeners. `hostname` as in its `ListenerCertificate` of source `mesh`. */
  v.strictObject({ profile: v.literal('serving'), csr: v.string(), hostname: v.pipe(v.string(), v.maxLength(255)) }),
])
export type CertificateRequest = v.InferOutput<typeof CertificateRequest>

export const CertificateAnswer = v.strictObject({
  /** PEM: the leaf, then the issuing CA. */
  certificate: v.string(),
  /** PEM certificates of the roots to trust from now on. */
  trustBundle: v.pipe(v.array(v.string()), v.minLength(1), v.maxLength(16)),
  /** End of the leaf, milliseconds since the epoch. */
  notAfterMs: v.number(),
})
export type CertificateAnswer = v.InferOutput<typeof CertificateAnswer>

/** RFC 9457. `reason` is stable, kebab-case. */
export const CertificateProblem = v.object({
  status: v.number(),
  title: v.string(),
  reason: v.string(),
})
export type CertificateProblem = v.InferOutput<typeof CertificateProblem>
