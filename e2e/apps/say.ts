// One connection as a neighbour makes it. Reads what to say as JSON from its input and prints what was heard as JSON.
import { text } from 'node:stream/consumers'
import { type ShownCertificate, sayInPlain, sayWithCertificate } from '../world/wire.ts'

/** What it is told. */
export interface SayRequest {
  readonly host: string
  readonly port: number
  /** Latin-1. */
  readonly bytes: string
  /** Absent: no TLS. */
  readonly mutualTls?: { readonly shown?: ShownCertificate; readonly alpn: string }
  readonly patienceMs?: number
}

const { host, port, bytes, mutualTls, patienceMs } = JSON.parse(await text(process.stdin)) as SayRequest
const heard =
  mutualTls === undefined
    ? await sayInPlain({ host, port }, bytes, patienceMs)
    : await sayWithCertificate({ host, port }, mutualTls.shown, mutualTls.alpn, bytes)
process.stdout.write(JSON.stringify(heard))
