import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import type { Source } from './source.ts'

export interface SecretName {
  readonly namespace: string
  readonly name: string
}

/** `reading`: not answered yet. `forbidden`: no Role lets us read it. `failing`: the API server did not answer. */
export type SecretStanding = 'reading' | 'present' | 'absent' | 'forbidden' | 'failing'

export interface NamedSecretsOptions {
  readonly client: KubernetesClient
  /** Read the Secrets of the whole cluster by one watch, where the chart was told to allow that. Only followed ones are kept. Default false. */
  readonly clusterWide?: boolean
  /** Secrets followed at once; the rest stand `failing` and are logged. Default 1,024. */
  readonly maxSecrets?: number
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Log
  readonly metrics: Metrics
}

/**
 * The Secrets that resources name, each read by its name alone.
 *
 * As a source it is synced when every Secret of the first `follow` has been answered, so that no certificate is taken away
 * because its Secret was not read yet. One that may not be read is in the store as an `UnreadableSecret` of the same name
 * (resources/secret.ts), so that translation can say why it does not resolve.
 */
export interface NamedSecrets extends Source {
  /** Says all Secrets that are wanted from now on. One that is not wanted any more is told as removed. */
  follow(names: readonly SecretName[]): void
  /** Undefined for one that is not followed. */
  standing(namespace: string, name: string): SecretStanding | undefined
}

export declare function createNamedSecrets(options: NamedSecretsOptions): NamedSecrets
