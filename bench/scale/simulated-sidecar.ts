import { MESH_ALPN } from '../../contract/alpn.ts'
import type { OperatorMessage } from '../../contract/session.ts'
import { CONTRACT_VERSION } from '../../contract/workload-config.ts'
import type { Result } from '../../model/result.ts'
import type { SpiffeId } from '../../model/spiffe-id.ts'
import { createBackoff } from '../../runtime/backoff.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { type Session, startSession } from '../../sidecar/control/session.ts'
import { CertificateFetchError } from '../../sidecar/identity/fetch-certificate.ts'
import type { Identity } from '../../sidecar/identity/identity.ts'
import { obtain } from '../../sidecar/identity/obtain.ts'
import { keepRenewed } from '../../sidecar/identity/renewal.ts'
import { clientTlsOptions } from '../../sidecar/identity/tls-options.ts'
import type { Receipt, Renewal } from './fleet-messages.ts'
import type { PodName } from './world.ts'

/**
 * A sidecar without a data plane: the real session (mTLS, hello, decoding, acknowledgements, backoff) and the real renewal,
 * but what it is sent is not compiled, because every sidecar of a cluster has a CPU of its own for that.
 */
export interface SimulatedSidecar {
  readonly isConnected: boolean
  /** Whether it holds all documents. */
  readonly isEquipped: boolean
  readonly refused: number
  connect(): void
  mark(): void
  receipt(): Receipt
  /** Resolves with how it went, once there is another certificate. */
  renew(leftMs: number): Promise<Renewal>
}

export interface SimulatedSidecarOptions {
  readonly pod: PodName
  readonly identity: Identity
  readonly operator: { readonly host: string; readonly port: number; readonly spiffeId: SpiffeId }
  /** Called when it is connected, holds a document more, or has lost its session. */
  readonly onChange: () => void
  readonly decode: (text: string) => Result<OperatorMessage>
  readonly clock: Clock
  readonly log: Log
}

/** As in `sidecar/sidecar.ts`. */
const BACKOFF = { baseMs: 200, maxMs: 5_000, minMs: 50, random: Math.random } as const

export function createSimulatedSidecar(options: SimulatedSidecarOptions): SimulatedSidecar {
  const { pod, identity, operator, onChange, decode, clock, log } = options
  const have: { config?: string; endpoints?: string; keys?: string } = {}
  let session: Session | undefined
  let refused = 0
  let sinceMark: { acknowledgedAtMs?: number; openedAtMs?: number; documents: number; lost: number } = {
    documents: 0,
    lost: 0,
  }

  const take = (document: 'config' | 'endpoints' | 'keys', version: string) => {
    have[document] = version
    session?.send({ type: 'ack', document, version })
    sinceMark.documents += 1
    if (document === 'config') sinceMark.acknowledgedAtMs ??= Date.now()
    onChange()
  }

  return {
    get isConnected() {
      return session?.connected === true
    },
    get isEquipped() {
      return have.config !== undefined && have.endpoints !== undefined && have.keys !== undefined
    },
    get refused() {
      return refused
    },
    connect() {
      session = startSession({
        operator: () => operator,
        tls: () => ({
          ...clientTlsOptions(identity, new Set([operator.spiffeId]), { alpn: MESH_ALPN.http, now: clock.now }),
          localAddress: pod.address,
        }),
        hello: () => ({
          type: 'hello',
          contract: CONTRACT_VERSION,
          release: 'bench',
          workload: pod.workload,
          pod: pod.pod,
          have: { ...have },
        }),
        onMessage(message) {
          switch (message.type) {
            case 'config':
              if (message.config.workload !== pod.workload) refused += 1
              return take('config', message.config.version)
            case 'endpoints':
              return take('endpoints', message.endpoints.version)
            case 'keys':
              return take('keys', message.keys.version)
          }
        },
        onLost() {
          sinceMark.lost += 1
          onChange()
        },
        decode,
        backoff: createBackoff(BACKOFF),
        clock,
        log,
        health: {
          name: 'session',
          pass() {
            sinceMark.openedAtMs = Date.now()
            onChange()
          },
          fail() {},
        },
      })
    },
    mark() {
      sinceMark = { documents: 0, lost: 0 }
    },
    receipt: () => ({ workload: pod.workload, ...sinceMark }),
    renew: (leftMs) => renew(options, leftMs),
  }
}

/** By the real loop, which is told that so little of the certificate's life is left, and so that it is due. */
async function renew(
  { pod, identity, operator, clock, log }: SimulatedSidecarOptions,
  leftMs: number,
): Promise<Renewal> {
  const startedAtMs = clock.monotonic()
  const counts = { attempts: 0, sentAway: 0, sentAwayWithTime: 0, unreachable: 0, refused: 0 }
  let hasExpired = false
  const done = new AbortController()
  let tookMs = Number.NaN
  await keepRenewed({
    first: { receivedAtMs: clock.now() - 9 * leftMs, notAfterMs: clock.now() + leftMs },
    async obtain() {
      counts.attempts += 1
      try {
        const { answer, receivedAtMs } = await obtain(
          { profile: 'svid' },
          {
            operator,
            credentials: [{ kind: 'certificate', certificate: identity }],
            trustBundle: identity.trustBundle,
            localAddress: pod.address,
            clock,
          },
        )
        return { receivedAtMs, notAfterMs: answer.notAfterMs }
      } catch (error) {
        if (error instanceof CertificateFetchError) {
          if (error.code === 'busy') counts.sentAway += 1
          else if (error.code === 'unreachable') counts.unreachable += 1
          else counts.refused += 1
          if (error.retryAfterMs !== undefined) counts.sentAwayWithTime += 1
        }
        throw error
      }
    },
    adopt() {
      tookMs = clock.monotonic() - startedAtMs
      done.abort(new Error('renewed'))
    },
    onExpired() {
      hasExpired = true
    },
    clock,
    random: Math.random,
    log,
    signal: done.signal,
  })
  return { tookMs, ...counts, hasExpired }
}
