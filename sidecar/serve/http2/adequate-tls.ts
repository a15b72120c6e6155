/**
 * Whether HTTP/2 may be spoken over it (RFC 9113, 9.2.2). Of TLS 1.2 it takes ephemeral keys and authenticated encryption: all others
 * stand in the list of Appendix A. TLS 1.3 has nothing else. `cipher` is OpenSSL's name.
 */
export function isAdequate(protocol: string | null, cipher: string): boolean {
  if (protocol === 'TLSv1.3') return true
  return protocol === 'TLSv1.2' && EPHEMERAL.test(cipher) && AUTHENTICATED.test(cipher)
}

const EPHEMERAL = /^(?:ECDHE|DHE)-/
const AUTHENTICATED = /-(?:GCM|CCM8?|CHACHA20-POLY1305)\b/
