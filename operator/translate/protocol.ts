/** What a sidecar makes of a port: HTTP that it reads, or bytes that it carries. */
export type PortProtocol = 'http' | 'tcp'

/** What is spoken on a port. */
export interface Spoken {
  readonly protocol: PortProtocol
  /** What the application speaks there, where it is not HTTP/1.1. */
  readonly appProtocol?: 'http2'
  /** What is spoken on a port of opaque TCP, where anything says so. */
  readonly database?: 'postgres'
}

/** What HTTP/1.1 goes by, in `appProtocol` and as the first part of a port's name. */
const HTTP = new Set(['http', 'http1', 'ws', 'kubernetes.io/ws', 'grpc-web'])

/** HTTP/2 with prior knowledge: what gRPC goes over, too. */
const HTTP2 = new Set(['http2', 'h2c', 'kubernetes.io/h2c', 'grpc'])

const POSTGRES = new Set(['postgres', 'postgresql'])

const POSTGRES_PORT = 5432

const OPAQUE = new Set([
  'amqp',
  'amqps',
  'dns',
  'https',
  'kafka',
  'kubernetes.io/wss',
  'ldap',
  'ldaps',
  'memcached',
  'mongo',
  'mongodb',
  'mqtt',
  'mssql',
  'mysql',
  'nats',
  'redis',
  'smtp',
  'smtps',
  'ssh',
  'tcp',
  'tls',
  'wss',
])

/**
 * Ports whose protocol is not HTTP wherever they are seen, besides that of PostgreSQL, many of them of servers that speak first: SSH, SMTP, DNS, POP3, IMAP, LDAP, SQL Server,
 * Oracle, ZooKeeper, MySQL, Galera, NATS, AMQP, Redis, Cassandra, Kafka, Elasticsearch's transport, memcached, MongoDB.
 */
const OPAQUE_PORTS = new Set([
  22, 25, 53, 110, 143, 389, 465, 587, 636, 853, 993, 995, 1433, 1521, 2181, 3306, 4222, 4444, 5671, 5672, 6379, 9042,
  9092, 9300, 11211, 27017,
])

/**
 * The protocol of a port: what `appProtocol` says, else the name of the Service's port, else that of the container's
 * (each up to its first `-`), else what its number is known for, else HTTP, which refuses whatever is not HTTP.
 */
export function protocolOf(port: {
  readonly appProtocol?: string | undefined
  readonly serviceName?: string | undefined
  readonly containerName?: string | undefined
  readonly number: number
}): Spoken {
  const byWord =
    ofWord(port.appProtocol) ?? ofWord(firstPart(port.serviceName)) ?? ofWord(firstPart(port.containerName))
  if (byWord !== undefined) return byWord
  if (port.number === POSTGRES_PORT) return { protocol: 'tcp', database: 'postgres' }
  return { protocol: OPAQUE_PORTS.has(port.number) ? 'tcp' : 'http' }
}

function ofWord(written: string | undefined): Spoken | undefined {
  const word = written?.toLowerCase()
  if (word === undefined) return undefined
  if (HTTP.has(word)) return { protocol: 'http' }
  if (POSTGRES.has(word)) return { protocol: 'tcp', database: 'postgres' }
  if (OPAQUE.has(word)) return { protocol: 'tcp' }
  if (HTTP2.has(word)) return { protocol: 'http', appProtocol: 'http2' }
  return undefined
}

function firstPart(name: string | undefined): string | undefined {
  return name?.split('-', 1)[0]
}
