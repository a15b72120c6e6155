import * as v from 'valibot'
import { CONTRACT_VERSIONS } from './workload-config.ts'

/** The public keys of the token issuers that a workload's policies name. An issuer whose keys were never fetched is missing. */
export const KeysDocument = v.strictObject({
  contract: v.picklist(CONTRACT_VERSIONS),
  version: v.string(),
  issuers: v.record(
    v.string(),
    v.strictObject({
      /** JWKs (RFC 7517), public parts only. */
      keys: v.array(v.record(v.string(), v.unknown())),
      /** When the operator last had them from the issuer; milliseconds since the epoch. */
      fetchedAt: v.number(),
    }),
  ),
})
export type KeysDocument = v.InferOutput<typeof KeysDocument>
