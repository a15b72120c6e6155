import { defineFilter } from '../../model/filter.ts'
import type { RequestView } from '../../model/request.ts'
import { ok } from '../../model/result.ts'
import { CONTINUE, type Denial, type Deny, type Verdict } from '../../model/verdict.ts'
import { readWire } from '../read-wire.ts'
import { MtlsConfig } from './config.ts'

/** The port takes mutual TLS only, and the caller showed no identity of the mesh. */
export const MTLS_REQUIRED: Denial = {
  name: 'mtls-required',
  status: 403,
  title: 'This service takes calls with a certificate of the mesh only.',
}

const REFUSED: Deny = Object.freeze({ kind: 'deny', denial: MTLS_REQUIRED })

/**
 * Under Strict, lets nobody pass without a verified identity.
 *
 * The listener has closed plaintext connections long before; this is the second lock, for the day that the first one
 * is wrong.
 */
export const mtls = defineFilter<MtlsConfig>({
  name: 'mtls',
  denials: [MTLS_REQUIRED],
  repeatable: true,
  tcp: true,
  decode: (wire) => readWire(MtlsConfig, wire),
  compile: ({ mode }) => ok(mode === 'Strict' ? judge : () => CONTINUE),
  explain({ mode }, request) {
    const common = { filter: 'mtls', field: 'mode', expected: mode, got: request.peer.spiffeId ?? 'no certificate' }
    return mode === 'Strict' && judge(request).kind === 'deny'
      ? [
          {
            ...common,
            outcome: 'denied',
            denial: MTLS_REQUIRED.name,
            change: 'call through the sidecar of a workload of the mesh',
          },
        ]
      : [{ ...common, outcome: 'matched' }]
  },
})

function judge({ peer }: RequestView): Verdict {
  return peer.spiffeId === undefined ? REFUSED : CONTINUE
}
