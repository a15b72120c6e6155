// Asks an operator for a certificate with the token that it is told; prints the answer as JSON.
import { request } from 'node:https'
import { text } from 'node:stream/consumers'

/** What it is told. */
export interface CertificateAsk {
  readonly host: string
  readonly port: number
  readonly token: string
  readonly csr: string
  readonly ca: string
}

const { host, port, token, csr, ca } = JSON.parse(await text(process.stdin)) as CertificateAsk
const sent = request(
  {
    host,
    port,
    path: '/v1/certificates',
    method: 'POST',
    ca,
    // The operator is known by a SPIFFE id and not by a name: whoever it is, it is asked only what anybody may ask.
    checkServerIdentity: () => undefined,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    timeout: 10_000,
  },
  (response) => {
    void text(response).then((body) => {
      process.stdout.write(JSON.stringify({ status: response.statusCode, headers: response.headers, body }))
    })
  },
)
sent.on('error', (error) => process.stdout.write(JSON.stringify({ status: 0, headers: {}, body: String(error) })))
sent.end(JSON.stringify({ profile: 'svid', csr }))
