/**
 * What is read of Kubernetes objects here. Every field may be missing, whatever the API server's schema says: a cluster that
 * is not as it should be is what this is for.
 */
export interface Metadata {
  readonly name: string
  readonly namespace?: string
  readonly uid?: string
  readonly generation?: number
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly creationTimestamp?: string
  readonly deletionTimestamp?: string
}

export interface Condition {
  readonly type: string
  readonly status: string
  readonly reason?: string
  readonly message?: string
  readonly observedGeneration?: number
}

export interface Named {
  readonly metadata: Metadata
}

/** A resource with conditions: one of ours, or of Gateway API. */
export interface Conditioned extends Named {
  readonly apiVersion?: string
  readonly kind?: string
  readonly spec?: Readonly<Record<string, unknown>>
  readonly status?: {
    readonly observedGeneration?: number
    readonly conditions?: readonly Condition[]
    readonly workloads?: { readonly selected?: number; readonly acknowledged?: number; readonly summary?: string }
    readonly dryRun?: { readonly wouldDeny?: number; readonly topRule?: string }
    readonly addresses?: readonly { readonly type?: string; readonly value?: string }[]
    readonly parents?: readonly {
      readonly parentRef?: { readonly namespace?: string; readonly name?: string }
      readonly controllerName?: string
      readonly conditions?: readonly Condition[]
    }[]
  }
}

export interface ContainerSpec {
  readonly name: string
  readonly image?: string
  readonly env?: readonly { readonly name: string; readonly value?: string }[]
}

export interface ContainerState {
  readonly name: string
  readonly ready?: boolean
  readonly restartCount?: number
  readonly state?: {
    readonly running?: object
    readonly waiting?: { readonly reason?: string; readonly message?: string }
    readonly terminated?: { readonly reason?: string; readonly exitCode?: number }
  }
}

export interface Pod extends Named {
  readonly spec?: {
    readonly serviceAccountName?: string
    readonly hostNetwork?: boolean
    readonly containers?: readonly ContainerSpec[]
    readonly initContainers?: readonly ContainerSpec[]
  }
  readonly status?: {
    readonly phase?: string
    readonly conditions?: readonly Condition[]
    readonly containerStatuses?: readonly ContainerState[]
    readonly initContainerStatuses?: readonly ContainerState[]
  }
}

export interface Deployment extends Named {
  readonly spec?: { readonly replicas?: number }
  readonly status?: {
    readonly observedGeneration?: number
    readonly readyReplicas?: number
    readonly updatedReplicas?: number
    readonly conditions?: readonly Condition[]
  }
}

export interface Service extends Named {
  readonly spec?: { readonly selector?: Readonly<Record<string, string>> }
}

export interface ConfigMap extends Named {
  readonly data?: Readonly<Record<string, string>>
}

export interface Lease extends Named {
  readonly spec?: {
    readonly holderIdentity?: string
    readonly leaseDurationSeconds?: number
    readonly renewTime?: string
  }
}

export interface Definition extends Named {
  readonly spec?: {
    readonly versions?: readonly {
      readonly name: string
      readonly served?: boolean
      readonly schema?: { readonly openAPIV3Schema?: unknown }
    }[]
  }
  readonly status?: { readonly conditions?: readonly Condition[] }
}

export interface WebhookConfiguration extends Named {
  readonly webhooks?: readonly {
    readonly name: string
    readonly failurePolicy?: string
    readonly timeoutSeconds?: number
    readonly clientConfig?: {
      readonly url?: string
      readonly caBundle?: string
      readonly service?: {
        readonly namespace?: string
        readonly name?: string
        readonly path?: string
        readonly port?: number
      }
    }
    readonly namespaceSelector?: {
      readonly matchLabels?: Readonly<Record<string, string>>
      readonly matchExpressions?: readonly unknown[]
    }
  }[]
}

export interface MeshConfig extends Conditioned {
  readonly status?: NonNullable<Conditioned['status']> & {
    readonly certificateAuthority?: {
      readonly phase?: string
      readonly roots?: readonly { readonly fingerprint: string; readonly notAfter: string; readonly use: string }[]
      readonly waitingFor?: readonly string[]
      readonly waiting?: number
      readonly problem?: string
    }
  }
}

export function conditionOf(
  { status }: { readonly status?: { readonly conditions?: readonly Condition[] } },
  type: string,
): Condition | undefined {
  return status?.conditions?.find((each) => each.type === type)
}

/** `namespace/name`, or the name alone. */
export function nameOf({ metadata: { namespace, name } }: Named): string {
  return namespace === undefined ? name : `${namespace}/${name}`
}
