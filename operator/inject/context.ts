import type { PodSidecar } from '../../contract/pod.ts'
import type { SpiffeId, TrustDomain } from '../../model/spiffe-id.ts'
import type { OptOuts } from './opt-outs.ts'

/** How sidecars are to be, for all pods alike: what the operator was installed with. */
export interface InjectorSettings {
  /** Of the sidecar and of the init container: `hauberk-sidecar:0.1.0`. */
  readonly image: string
  readonly imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never'
  readonly trustDomain: TrustDomain
  /** Where sidecars find the operator. */
  readonly operator: { readonly host: string; readonly port: number; readonly spiffeId: SpiffeId }
  /** `requests` and `limits` of the sidecar, as Kubernetes takes them. */
  readonly resources: ResourceRequirements
  readonly initResources: ResourceRequirements
  /** Of the volume for key, certificate and last good configuration. It counts as memory of the sidecar. */
  readonly stateSizeLimit: string
  /** Seconds that an app's container goes on for after its pod was told to end, so that its endpoints leave first (F19). 0: none is added. */
  readonly preStopSeconds: number
  /** Seconds that the sidecar gives requests in flight at its end. */
  readonly drainSeconds: number
  readonly metrics: PodSidecar['metrics']
  readonly decisionLog: PodSidecar['decisionLog']
  readonly logLevel: PodSidecar['logLevel']
}

export interface ResourceRequirements {
  readonly requests?: Readonly<Record<string, string>>
  readonly limits?: Readonly<Record<string, string>>
}

/** Where a pod is to be. */
export interface InjectionContext {
  readonly settings: InjectorSettings
  readonly namespace: {
    readonly name: string
    readonly labels: Readonly<Record<string, string>>
  }
  readonly optOuts: OptOuts
  /** A new key for a pod's probe port: at least 128 random bits in base64url. */
  makeProbeKey(): string
}
