import type { Resource } from '../../model/resource.ts'
import type { JsonSchema } from '../../model/section.ts'
import { MESH_CONFIG_SPEC_SCHEMA, type MeshConfigSpec, type OptOut } from '../resources/mesh-config.ts'
import { checkStructure } from '../resources/structural.ts'

/** Who may keep what from the mesh: `optOuts` of MeshConfig, which only whoever owns the mesh can write (T08). */
export interface OptOuts {
  /** The name of the first entry that allows it in a namespace; undefined: nobody does. */
  allowing(optOut: OptOut, namespace: string): string | undefined
}

/** Nothing is allowed where there is no MeshConfig, or where its `optOuts` cannot be read. */
export function optOutsOf(meshConfig: Resource | undefined): OptOuts {
  const written = (meshConfig?.spec as { readonly optOuts?: unknown } | null | undefined)?.optOuts
  const isRead = written !== undefined && checkStructure(OPT_OUTS_SCHEMA, written, 'refuse').length === 0
  const entries = isRead ? (written as NonNullable<MeshConfigSpec['optOuts']>) : []
  return {
    allowing(optOut, namespace) {
      return entries.find(({ namespaces, allow }) => namespaces.includes(namespace) && allow.includes(optOut))?.name
    },
  }
}

export const NO_OPT_OUTS: OptOuts = optOutsOf(undefined)

const OPT_OUTS_SCHEMA = (MESH_CONFIG_SPEC_SCHEMA['properties'] as Readonly<Record<string, JsonSchema>>)[
  'optOuts'
] as JsonSchema
