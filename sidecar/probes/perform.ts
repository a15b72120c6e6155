import type { AppProbe } from '../../contract/pod.ts'
import type { Clock } from '../../runtime/clock.ts'
import { probeGrpc } from './grpc.ts'
import { probeHttp } from './http-get.ts'
import type { ProbeOutcome, ProbeTarget } from './outcome.ts'
import { probeTcp } from './tcp-socket.ts'

/** Performs a probe against the app, within the probe's own time. Never rejects. */
export async function performProbe(probe: AppProbe, target: ProbeTarget, clock: Clock): Promise<ProbeOutcome> {
  const timeUp = new AbortController()
  const cancel = clock.setTimer(probe.timeoutSeconds * 1_000, () => timeUp.abort())
  const within = { ...target, signal: AbortSignal.any([target.signal, timeUp.signal]) }
  try {
    const outcome = await handle(probe, within)
    const isLate = outcome.outcome === 'unanswered' && timeUp.signal.aborted
    return isLate ? { outcome: 'unanswered', reason: `not within ${probe.timeoutSeconds} s` } : outcome
  } finally {
    cancel()
  }
}

function handle({ httpGet, tcpSocket, grpc }: AppProbe, target: ProbeTarget): Promise<ProbeOutcome> {
  if (httpGet !== undefined) return probeHttp(httpGet, target)
  if (tcpSocket !== undefined) return probeTcp(tcpSocket, target)
  if (grpc !== undefined) return probeGrpc(grpc, target)
  return Promise.resolve({ outcome: 'unanswered', reason: 'has no handler' })
}
