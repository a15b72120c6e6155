import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort, startProcess, untilListening } from '../world/process.ts'
import { AUDIENCE, ISSUER } from '../world/tokens.ts'
import type { Peer } from './peer.ts'

/**
 * HAProxy with one thread, as fast as it can be configured for this: no log, no header rewritten, connections to the
 * backend shared. `jwt` adds what a careful operator checks of a token: algorithm, signature, issuer, audience, expiry. It
 * is spared the rate limit, the identity rule and the forwarding headers that our rows have.
 */
export function haproxy({ jwt }: { readonly jwt: boolean }): Peer {
  return {
    programs: ['haproxy'],
    async start(world, directory) {
      const port = await freePort()
      const { server, root } = world.certificates
      const pem = join(directory, 'server.pem')
      await writeFile(pem, server.chain + server.privateKey, { mode: 0o600 })
      const ca = join(directory, 'root.pem')
      await writeFile(ca, root)
      const key = join(directory, 'jwt.pem')
      await writeFile(key, world.tokens.publicKeyPem)
      const config = join(directory, 'haproxy.cfg')
      await writeFile(
        config,
        `global
  nbthread 1
  maxconn 4096
  ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets
  ssl-default-bind-curves X25519:P-256
  tune.ssl.cachesize 0

defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always

frontend mesh
  bind 127.0.0.1:${port} ssl crt ${pem} ca-file ${ca} verify required alpn hauberk/http1,http/1.1
${jwt ? tokenRules(key) : ''}  default_backend app

backend app
  server app 127.0.0.1:${world.backend.port}
`,
      )
      const child = await startProcess(['haproxy', '-db', '-f', config], {
        core: world.cores.proxy,
        logFile: join(directory, 'haproxy.log'),
      })
      await untilListening(port, child)
      return { pid: child.pid, port, stop: child.stop }
    },
  }
}

function tokenRules(key: string): string {
  return `  http-request set-var(txn.token) http_auth_bearer
  http-request set-var(txn.alg) var(txn.token),jwt_header_query('$.alg')
  http-request set-var(txn.iss) var(txn.token),jwt_payload_query('$.iss')
  http-request set-var(txn.aud) var(txn.token),jwt_payload_query('$.aud')
  http-request set-var(txn.exp) var(txn.token),jwt_payload_query('$.exp','int')
  http-request set-var(txn.now) date()
  http-request deny deny_status 401 unless { var(txn.alg) -m str ES256 }
  http-request deny deny_status 401 unless { var(txn.iss) -m str ${ISSUER} }
  http-request deny deny_status 401 unless { var(txn.aud) -m str ${AUDIENCE} }
  http-request deny deny_status 401 if { var(txn.exp),sub(txn.now) -m int lt 0 }
  http-request deny deny_status 401 unless { var(txn.token),jwt_verify(txn.alg,"${key}") 1 }
`
}
