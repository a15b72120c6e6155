import { sleep } from '../../runtime/clock.ts'
import { createCapture } from '../capture/capture.ts'
import type { OriginalDestination } from '../capture/destination.ts'
import { startMetricsListener } from '../metrics-listener/metrics-listener.ts'
import { startProbeServer } from '../probes/probe-server.ts'
import { openSidecar } from '../sidecar.ts'
import { openAdminToken } from './admin-token.ts'
import type { PodOptions } from './options.ts'
import { capturePlace, podPlacement } from './placement.ts'

/**
 * Milliseconds from unready to `Connection: close` (F19): until the endpoints without this pod have come to whoever calls
 * it. Earlier, a client that is sent away would only come again.
 */
const ENDPOINTS_MS = 3_000

/**
 * Milliseconds that a gateway goes on accepting once it was told to end: connections that are in use hear of it with their
 * next answer. Its pod has waited for the endpoints before (a preStop sleep).
 */
const RETIRING_MS = 3_000

export interface PodParts {
  /** Version of the program. */
  readonly release: string
  readonly originalDestination: OriginalDestination
}

/**
 * Runs the sidecar of a pod, or a gateway's pod, until `signal` aborts, then drains it. Resolves with the process's exit
 * code. Rejects only for what can never work: a port that is taken, a state directory that cannot be written.
 *
 * The kubelet tells a native sidecar to end once the containers of the app have ended; that the pod is being deleted it
 * tells by the preStop hook, long before.
 */
export async function runPod(options: PodOptions, parts: PodParts, signal: AbortSignal): Promise<number> {
  const { release, originalDestination } = parts
  const { told, pod, spiffeId, podIps, ports, paths } = options
  const { workload, operator, logLevel, decisionLog, metrics, role } = told
  const sidecar = await openSidecar(
    {
      ...{ release, workload, pod, spiffeId, operator, logLevel, decisionLog },
      trustAnchorsFile: paths.trustAnchors,
      tokenFile: paths.token,
      provenBy: 'token',
      stateDirectory: paths.state,
      admin: { port: ports.admin, token: await openAdminToken(paths.state) },
      placement: (pipeline) => podPlacement(options, pipeline),
      ...(role === 'sidecar' && { capture: createCapture({ ...capturePlace(options), originalDestination }) }),
      ...(told.keystores === true && { keystores: { directory: paths.keystores, mode: 0o444 } }),
      drainMs: told.drainSeconds * 1_000,
      workers: { count: told.workers ?? 1, place: { kind: 'pod', told, podIps, ports } },
    },
    signal,
  )
  const { clock, log, health, drain } = sidecar

  const staying = health.condition('pod', 'ready')
  staying.pass()
  const probes = await startProbeServer({
    ...{ port: ports.probes, probes: told.probes, podIp: podIps[0] ?? '127.0.0.1', health, clock, log },
    ...(told.probeKey === undefined ? {} : { probeKey: told.probeKey }),
    onDrain() {
      log.info('the pod is being deleted')
      staying.fail('the pod is being deleted')
      clock.setTimer(ENDPOINTS_MS, () => sidecar.retire(), { keepAlive: false })
    },
  })
  drain.step('probes', () => probes.close())

  try {
    const identity = await sidecar.identify()
    const listener = await startMetricsListener({
      ...{ port: ports.metrics, allow: metrics.allow, plaintext: metrics.plaintext },
      ...{ identity, metrics: sidecar.metrics, clock, log },
    })
    drain.step('metrics', () => listener?.close())
    await sidecar.serve()
    await aborted(signal)
  } catch (error) {
    // Told to end before it was anybody: there is nothing to finish.
    if (!signal.aborted) throw error
  }
  staying.fail('told to end')
  if (role === 'gateway') {
    sidecar.retire()
    await sleep(clock, RETIRING_MS)
  }
  return sidecar.end()
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
