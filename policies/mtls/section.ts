import { type Issue, issue, ok } from '../../model/result.ts'
import {
  type Attached,
  type Combined,
  defineSection,
  type JsonSchema,
  type Levels,
  type SectionContext,
} from '../../model/section.ts'
import { MTLS_MODES, type MtlsConfig, type MtlsMode } from './config.ts'

/** `mtls` as a policy writes it. */
export interface MtlsSpec {
  readonly mode?: MtlsMode
  readonly ports?: readonly { readonly port: number; readonly mode: MtlsMode }[]
}

const MODE_MEANS =
  'Strict takes mutual TLS with a certificate of the mesh only; Permissive takes plaintext too, and counts it; Disabled takes plaintext only.'

const SCHEMA: JsonSchema = {
  type: 'object',
  description: 'mtls says how the ports of the target take connections. Default: Strict on every port.',
  minProperties: 1,
  properties: {
    mode: {
      type: 'string',
      description: `mode is the mode of the ports that ports does not list. ${MODE_MEANS} A floor raises it where it is less strict. Default: what another policy or the mesh says, and Strict where nobody says anything.`,
      enum: [...MTLS_MODES].reverse(),
    },
    ports: {
      type: 'array',
      description: 'ports lists container ports with a mode of their own. Default: none.',
      minItems: 1,
      maxItems: 64,
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['port'],
      items: {
        type: 'object',
        required: ['port', 'mode'],
        properties: {
          port: {
            type: 'integer',
            format: 'int32',
            description: 'port is the number of the container port. Required.',
            minimum: 1,
            maximum: 65535,
          },
          mode: {
            type: 'string',
            description: `mode is the mode of this port. ${MODE_MEANS} Required.`,
            enum: [...MTLS_MODES].reverse(),
          },
        },
      },
    },
  },
}

/**
 * The most specific wins (a listed port before the mode of the whole policy, of equals the strictest), is raised to the
 * floor, and where nobody says anything the mode is Strict.
 */
export const mtlsSection = defineSection<MtlsSpec, MtlsConfig, MtlsConfig>({
  filter: 'mtls',
  name: 'mtls',
  schema: { mtls: SCHEMA },
  pick: (spec) => spec['mtls'] as MtlsSpec | undefined,
  review,
  combine,
  translate: (config) => ok(config),
})

function review({ ports = [] }: MtlsSpec): readonly Issue[] {
  const seen = new Set<number>()
  return ports.flatMap(({ port }, i) => {
    const isSecond = seen.has(port)
    seen.add(port)
    return isSecond ? [issue('duplicate-port', `mtls.ports[${i}].port`, `is ${port} again`, 'list each port once')] : []
  })
}

/** A mode that a policy gives this port, and how near it is. */
interface Said {
  readonly mode: MtlsMode
  readonly from: Attached<MtlsSpec>
  readonly isPort: boolean
}

function combine(
  { floor, policies, defaults }: Levels<MtlsSpec>,
  { port, role }: SectionContext,
): Combined<MtlsConfig> | undefined {
  if (role === 'gateway') return atGateway(policies)
  const floors = floor.flatMap((policy) => saidOf(policy, port))
  const nearest = nearestOf(policies, port)
  const chosen = strictest(nearest ?? nearestOf(defaults, port) ?? [])
  const raised = strictest(floors)

  const mode = chosen?.mode ?? 'Strict'
  const isRaised = raised !== undefined && isStricter(raised.mode, mode)
  const winner = isRaised ? raised : chosen
  const losers = policies
    .flatMap((policy) => saidOf(policy, port))
    .filter(({ mode: lost, from }) => winner !== undefined && from !== winner.from && lost !== winner.mode)
  return {
    value: { mode: isRaised ? raised.mode : mode },
    origins: [...new Set([...floors, ...(chosen === undefined ? [] : [chosen])].map(({ from }) => from.origin))],
    ...(winner !== undefined &&
      losers.length > 0 && {
        overridden: losers.map(({ mode: lost, from }) => ({
          loser: from.origin,
          winner: winner.from.origin,
          ...(isRaised && isStricter(raised.mode, lost) && { weakensFloor: true }),
        })),
      }),
  }
}

/** Clients of a gateway come from outside the mesh and have no certificate of it. */
function atGateway(policies: readonly Attached<MtlsSpec>[]): Combined<MtlsConfig> | undefined {
  if (policies.length === 0) return undefined
  const reason = 'the clients of a Gateway are outside the mesh; target the Service behind it'
  return {
    value: { mode: 'Disabled' },
    origins: policies.map(({ origin }) => origin),
    notApplied: policies.map(({ origin }) => ({ origin, path: 'mtls', reason })),
  }
}

function saidOf(from: Attached<MtlsSpec>, port: number): readonly Said[] {
  const listed = from.spec.ports?.find((entry) => entry.port === port)
  if (listed !== undefined) return [{ mode: listed.mode, from, isPort: true }]
  return from.spec.mode === undefined ? [] : [{ mode: from.spec.mode, from, isPort: false }]
}

function nearestOf(policies: readonly Attached<MtlsSpec>[], port: number): readonly Said[] | undefined {
  const said = policies.flatMap((policy) => saidOf(policy, port))
  if (said.length === 0) return undefined
  const top = Math.max(...said.map(({ from }) => from.specificity))
  const near = said.filter(({ from }) => from.specificity === top)
  const listed = near.filter(({ isPort }) => isPort)
  return listed.length > 0 ? listed : near
}

function strictest(said: readonly Said[]): Said | undefined {
  return said.reduce<Said | undefined>(
    (best, next) => (best === undefined || isStricter(next.mode, best.mode) ? next : best),
    undefined,
  )
}

function isStricter(a: MtlsMode, b: MtlsMode): boolean {
  return MTLS_MODES.indexOf(a) > MTLS_MODES.indexOf(b)
}
