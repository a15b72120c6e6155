import {
  OUTBOUND_HOST_MISMATCH,
  OUTBOUND_NOT_HTTP,
  OUTBOUND_NOT_PROXIED,
  OUTBOUND_UNKNOWN_HOST,
  PROXY_CREDENTIAL,
  refusal,
} from '../denials.ts'

/** What the forward proxy says no with. 407 comes with what would help (RFC 9110, 11.7.1). */
export const NO_CREDENTIAL = refusal(PROXY_CREDENTIAL, [['proxy-authenticate', 'Basic realm="hauberk"']])
export const UNKNOWN_HOST = refusal(OUTBOUND_UNKNOWN_HOST)
export const NOT_PROXIED = refusal(OUTBOUND_NOT_PROXIED)
export const NOT_HTTP = refusal(OUTBOUND_NOT_HTTP)
export const OTHER_HOST = refusal(OUTBOUND_HOST_MISMATCH)
