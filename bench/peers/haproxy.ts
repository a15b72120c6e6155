import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort, startProcess, untilListening } from '../world/process.ts'
import { AUDIENCE, ISSUER } from '../world/tokens.ts'
import type { World } from '../world/world.ts'
import type { Peer, RunningPeer } from './peer.ts'

export interface HaproxyOptions {
  /** What a careful operator checks of a token: algorithm, signature, issuer, audience, expiry. */
  readonly jwt?: boolean
  /** `grpc` is HTTP/2 to the application too. `tcp` passes octets on. Default: `http1`. */
  readonly protocol?: 'http1' | 'http2' | 'grpc' | 'tcp'
  /** What is behind it. Default: what the protocol is for. */
  readonly app?: 'echo'
}

/**
 * HAProxy with one thread, as fast as it can be configured for this: no log, no header rewritten, connections to the
 * backend shared. It is spared the rate limit, the identity rule and the forwarding headers that our rows have.
 */
export function haproxy({ jwt = false, protocol = 'http1', app }: HaproxyOptions = {}): Peer {
  return {
    programs: ['haproxy'],
    async start(world, directory) {
      const key = join(directory, 'jwt.pem')
      await writeFile(key, world.tokens.publicKeyPem)
      const server = await serverOf(world, app === 'echo' ? 'tcp' : protocol)
      return startHaproxy(world, directory, 'mesh', {
        mode: protocol === 'tcp' ? 'tcp' : 'http',
        bind: `${await tlsFiles(world, directory)} verify required alpn ${ALPN[protocol]}`,
        rules: jwt ? tokenRules(key) : '',
        server,
      })
    },
  }
}

/** Two of them, as two sidecars stand: the first is called in plaintext and calls the second with mutual TLS. */
export function haproxyPair(): Peer {
  return {
    programs: ['haproxy'],
    async start(world, directory) {
      const callee = await haproxy().start(world, directory)
      const { client, root } = world.certificates
      const pem = join(directory, 'caller.pem')
      await writeFile(pem, client.chain + client.privateKey, { mode: 0o600 })
      const ca = join(directory, 'caller-root.pem')
      await writeFile(ca, root)
      const tls = `ssl verify required ca-file ${ca} crt ${pem} alpn hauberk/http1,http/1.1 ciphersuites TLS_AES_256_GCM_SHA384`
      const caller = await startHaproxy(world, directory, 'caller', {
        mode: 'http',
        bind: '',
        rules: '',
        server: `127.0.0.1:${callee.port} ${tls}`,
      })
      return {
        pids: [...caller.pids, ...callee.pids],
        port: caller.port,
        stop: async () => void (await Promise.all([caller.stop(), callee.stop()])),
      }
    },
  }
}

const ALPN = {
  http1: 'hauberk/http1,http/1.1',
  http2: 'h2',
  grpc: 'h2',
  tcp: 'hauberk/tcp',
} as const

async function serverOf(world: World, protocol: NonNullable<HaproxyOptions['protocol']>): Promise<string> {
  switch (protocol) {
    case 'http1':
    case 'http2':
      return `127.0.0.1:${world.backend.port}`
    case 'grpc':
      return `127.0.0.1:${(await world.grpc()).port} proto h2`
    case 'tcp':
      return `127.0.0.1:${(await world.echo()).port}`
  }
}

/** The words of a `bind` line that say whom to be and whom to trust. */
async function tlsFiles({ certificates: { server, root } }: World, directory: string): Promise<string> {
  const pem = join(directory, 'server.pem')
  await writeFile(pem, server.chain + server.privateKey, { mode: 0o600 })
  const ca = join(directory, 'root.pem')
  await writeFile(ca, root)
  return `ssl crt ${pem} ca-file ${ca}`
}

interface Configured {
  readonly mode: 'http' | 'tcp'
  /** What follows the address. */
  readonly bind: string
  readonly rules: string
  /** Address of the server, and what follows it. */
  readonly server: string
}

async function startHaproxy(
  world: World,
  directory: string,
  name: string,
  { mode, bind, rules, server }: Configured,
): Promise<RunningPeer> {
  const port = await freePort()
  const config = join(directory, `${name}.cfg`)
  await writeFile(
    config,
    `global
  nbthread 1
  maxconn ${MAX_CONNECTIONS}
  ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets
  ssl-default-bind-ciphersuites TLS_AES_256_GCM_SHA384
  ssl-default-bind-curves X25519:P-256
  ssl-default-server-options ssl-min-ver TLSv1.3
  tune.ssl.cachesize 0

defaults
  mode ${mode}
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout tunnel 60s
${mode === 'http' ? '  http-reuse always\n' : ''}
frontend ${name}
  bind 127.0.0.1:${port} ${bind}
${rules}  default_backend app

backend app
  server app ${server}
`,
  )
  const child = await startProcess(['haproxy', '-db', '-f', config], {
    core: world.cores.proxy,
    logFile: join(directory, `${name}.log`),
  })
  await untilListening(port, child)
  return { pids: [child.pid], port, stop: child.stop }
}

/** It wants two descriptors for each, and 20,000 is what a process may have on many machines. */
const MAX_CONNECTIONS = 9_500

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
