import * as v from 'valibot'

/** What a port takes, in rising strictness. */
export const MTLS_MODES = ['Disabled', 'Permissive', 'Strict'] as const

export const MtlsConfig = v.strictObject({ mode: v.picklist(MTLS_MODES) })
export type MtlsConfig = v.InferOutput<typeof MtlsConfig>

export type MtlsMode = MtlsConfig['mode']
