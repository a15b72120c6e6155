import type { EndpointsDocument } from '../../contract/endpoints.ts'
import type { KeysDocument } from '../../contract/keys.ts'
import type { DocumentKind } from '../../contract/session.ts'
import type { WorkloadConfig } from '../../contract/workload-config.ts'

/** What the sidecars of one workload are to obey. */
export interface DesiredDocuments {
  readonly config: WorkloadConfig
  readonly endpoints: EndpointsDocument
  readonly keys: KeysDocument
  /** The TokenIssuers that its policies name, whether or not their keys were ever fetched. */
  readonly issuers: readonly string[]
}

export type AnyDocument = WorkloadConfig | EndpointsDocument | KeysDocument

/**
 * The order in which a change is sent. Endpoints and keys first: a route that is new then finds its upstream's
 * endpoints and its issuers' keys there.
 */
export const SEND_ORDER: readonly DocumentKind[] = ['endpoints', 'keys', 'config']

/** A document as it goes over the wire. */
export interface DocumentMessage {
  readonly text: string
  readonly bytes: number
}

const serialised = new WeakMap<AnyDocument, DocumentMessage>()

/** The message that carries a document. One serialisation, however many sidecars get it. */
export function messageOf(kind: DocumentKind, document: AnyDocument): DocumentMessage {
  const known = serialised.get(document)
  if (known !== undefined) return known
  const text = JSON.stringify({ type: kind, [kind]: document })
  const message = { text, bytes: Buffer.byteLength(text) }
  serialised.set(document, message)
  return message
}
