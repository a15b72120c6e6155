import { changeBetween } from '../../contract/config-change.ts'
import { type AnyDocument, encodeFor } from '../../contract/encode-for.ts'
import type { EndpointsDocument } from '../../contract/endpoints.ts'
import type { KeysDocument } from '../../contract/keys.ts'
import type { RevocationsDocument } from '../../contract/revocations.ts'
import type { DocumentKind } from '../../contract/session.ts'
import type { ContractVersion, WorkloadConfig } from '../../contract/workload-config.ts'

/** What the sidecars of one workload are to obey. */
export interface DesiredDocuments {
  readonly config: WorkloadConfig
  readonly endpoints: EndpointsDocument
  readonly keys: KeysDocument
  /** Absent: its policies ask for no tokens. */
  readonly revocations?: RevocationsDocument
  /** The TokenIssuers that its policies name, whether or not their keys were ever fetched. */
  readonly issuers: readonly string[]
}

/**
 * The order in which a change is sent. Endpoints, keys and revocations first: a route that is new then finds its upstream's
 * endpoints and its issuers' keys there, and takes no token that was revoked.
 */
export const SEND_ORDER: readonly DocumentKind[] = ['endpoints', 'keys', 'revocations', 'config']

/** A document as it goes over the wire. */
export interface DocumentMessage {
  readonly text: string
  readonly bytes: number
  /** Origins of the policies that sidecars of this contract version have no words for. */
  readonly unsupported: readonly string[]
}

const serialised = new WeakMap<AnyDocument, Map<ContractVersion, DocumentMessage>>()

/** The message that carries a document, for sidecars that speak `contract`. One serialisation, however many get it. */
export function messageOf(kind: DocumentKind, document: AnyDocument, contract: ContractVersion): DocumentMessage {
  const byContract = serialised.get(document) ?? new Map<ContractVersion, DocumentMessage>()
  serialised.set(document, byContract)
  const known = byContract.get(contract)
  if (known !== undefined) return known
  const encoded = encodeFor(contract, kind, document)
  const text = JSON.stringify({ type: kind, [kind]: encoded.document })
  const message = { text, bytes: Buffer.byteLength(text), unsupported: encoded.unsupported }
  byContract.set(contract, message)
  return message
}

const changes = new WeakMap<WorkloadConfig, WeakMap<WorkloadConfig, string>>()

/** The message that says `after` to sidecars that hold `before`. One comparison and serialisation, however many get it. */
export function changeOf(before: WorkloadConfig, after: WorkloadConfig): string {
  const byBefore = changes.get(after) ?? new WeakMap<WorkloadConfig, string>()
  changes.set(after, byBefore)
  const known = byBefore.get(before)
  if (known !== undefined) return known
  const text = JSON.stringify(changeBetween(before, after))
  byBefore.set(before, text)
  return text
}
