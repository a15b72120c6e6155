// Asks servers of DNS, each by itself, for the address of a Service. Reads whom and what as JSON from its input, and prints
// those that do not know it as JSON.
import { Resolver } from 'node:dns/promises'
import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'

/** What it is told. */
export interface ResolveRequest {
  /** `name.namespace` of a Service. */
  readonly service: string
  /** Addresses. */
  readonly servers: readonly string[]
}

const { service, servers } = JSON.parse(await text(process.stdin)) as ResolveRequest
const [, ending = 'svc.cluster.local'] = / (svc\.\S+)/.exec(await readFile('/etc/resolv.conf', 'utf8')) ?? []
const unaware: string[] = []
for (const server of servers) {
  const resolver = new Resolver({ timeout: 1_000, tries: 2 })
  resolver.setServers([server.includes(':') ? `[${server}]` : server])
  const known = await Promise.allSettled([
    resolver.resolve4(`${service}.${ending}`),
    resolver.resolve6(`${service}.${ending}`),
  ])
  if (known.every(({ status }) => status === 'rejected')) unaware.push(server)
}
process.stdout.write(JSON.stringify(unaware))
