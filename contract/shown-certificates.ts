import type { ListenerCertificate, WorkloadConfig } from './workload-config.ts'

/** Every certificate that the listeners of a gateway show to clients. */
export function shownCertificates({
  listeners,
  streams = [],
}: Pick<WorkloadConfig, 'listeners' | 'streams'>): readonly ListenerCertificate[] {
  const ofHttp = listeners.flatMap((listener) => (listener.kind === 'gateway' ? listener.certificates : []))
  return [...ofHttp, ...streams.flatMap(({ certificates }) => certificates)]
}
