/** On a pod, `disabled` asks for no sidecar, which somebody has to allow. On a namespace, `enabled` has its pods injected. */
export const INJECT_LABEL = 'hauberk.dev/inject'

/** On a pod that was injected: the version of what its sidecar is told. */
export const INJECTED_ANNOTATION = 'hauberk.dev/injected'

/** On a pod: the volume, of its own and in memory, that the sidecar is to keep the pod's identity in as PKCS#12 files. */
export const KEYSTORES_ANNOTATION = 'hauberk.dev/keystores'
