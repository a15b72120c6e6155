import type { FilterSlots, WorkloadConfig } from '../../contract/workload-config.ts'
import type { Snapshot } from '../../operator/store/snapshot.ts'
import type { AuthorizationConfig, Rule } from '../../policies/authorization/config.ts'
import { authorization } from '../../policies/authorization/filter.ts'
import { jwt } from '../../policies/jwt/filter.ts'
import { pathOfRule, resourceOfOrigin } from '../origin.ts'
import type { Finding } from './finding.ts'

type Found = Omit<Finding, 'id'>

/** What the policies of one workload come to that its owner may not have meant: too much, or nothing at all. */
export function exposureOf(config: WorkloadConfig, snapshot: Snapshot): readonly Found[] {
  const places = config.listeners.flatMap((listener) =>
    listener.kind === 'gateway'
      ? listener.routes.map(({ id, filters }) => ({ name: id, filters }))
      : listener.protocol === 'tcp'
        ? [{ name: `port ${listener.port}`, filters: listener.filters }]
        : listener.routes.map(({ filters }) => ({ name: `port ${listener.port}`, filters })),
  )
  const streams = (config.streams ?? []).flatMap(({ routes }) => routes)
  return [
    ...withoutPolicy(config, places),
    ...plaintextPorts(config),
    ...unique(
      [...places, ...streams.map(({ id, filters }) => ({ name: id, filters }))].flatMap((place) =>
        deadRules(place, snapshot),
      ),
    ),
    ...(config.role === 'gateway' ? [] : unique(places.flatMap((place) => openRules(place, snapshot)))),
  ]
}

interface Place {
  readonly name: string
  readonly filters: FilterSlots
}

function withoutPolicy({ workload, role }: WorkloadConfig, places: readonly Place[]): readonly Found[] {
  if (role === 'gateway') return []
  const names = places.filter(({ filters }) => rulesAt(filters)?.otherwise === 'no-policy').map(({ name }) => name)
  if (names.length === 0) return []
  return [
    {
      code: 'no-policy',
      severity: 'warning',
      resource: `Deployment/${workload}`,
      path: '',
      message: `no policy says who may call ${list(names)}: every request is answered 403 no-policy`,
      fix: 'write a SecurityPolicy with authorization.allow for it',
    },
  ]
}

function plaintextPorts({ workload, listeners }: WorkloadConfig): readonly Found[] {
  return listeners.flatMap((listener) => {
    if (listener.kind === 'gateway' || listener.mtls === 'Strict') return []
    const filters = listener.protocol === 'tcp' ? listener.filters : (listener.routes[0]?.filters ?? {})
    const slot = filters['mtls']?.find(({ mode }) => mode === 'enforce')
    // The policy that says so; floors that raised it come before it.
    const origin = slot?.origins.at(-1)
    return [
      {
        code: 'plaintext',
        severity: 'warning',
        ...(origin !== undefined && { resource: resourceOfOrigin(origin) }),
        path: 'spec.mtls',
        message: `port ${listener.port} of ${workload} takes plaintext: ${listener.mtls}`,
        fix: 'say Strict as soon as every caller is in the mesh',
      } as const,
    ]
  })
}

/** Rules that go by a token where nobody verifies one, or by an issuer whose tokens are refused. They match nothing. */
function deadRules({ name, filters }: Place, snapshot: Snapshot): readonly Found[] {
  const rules = rulesAt(filters)
  if (rules === undefined) return []
  const slot = filters[jwt.name]?.find(({ mode }) => mode === 'enforce')
  // Whatever an unresolved one will come to, now it refuses everything.
  if (slot?.state === 'unresolved') return []
  const issuers = slot === undefined ? undefined : jwt.decode(slot.config)
  const accepted = issuers?.ok === true ? issuers.value.issuers.map((issuer) => issuer.name) : undefined
  return (['deny', 'allow'] as const).flatMap((effect) =>
    rules[effect].flatMap((rule): Found[] => {
      const common = { severity: 'warning', ...placeOf(snapshot, rule, effect) } as const
      if (accepted === undefined) {
        if (!goesByToken(rule)) return []
        const message = `${effect} rule ${rule.name} goes by a token, and nothing verifies tokens for ${name}`
        return [{ ...common, code: 'rule-without-token', message, fix: 'add authentication.jwt to the policy' }]
      }
      const wanted = rule.from?.issuers ?? []
      if (wanted.length === 0 || wanted.some((issuer) => accepted.includes(issuer))) return []
      const message = `${effect} rule ${rule.name} is for tokens of ${list(wanted)}, and only those of ${list(accepted)} are taken`
      return [{ ...common, code: 'rule-without-issuer', message, fix: 'name it in authentication.jwt.issuers' }]
    }),
  )
}

function openRules({ name, filters }: Place, snapshot: Snapshot): readonly Found[] {
  return (rulesAt(filters)?.allow ?? [])
    .filter(({ from, to, when }) => from === undefined && to === undefined && when === undefined)
    .map((rule) => ({
      code: 'allows-everybody',
      severity: 'warning' as const,
      ...placeOf(snapshot, rule, 'allow'),
      message: `allow rule ${rule.name} lets everybody who reaches ${name} do everything`,
      fix: 'say from whom, or to what',
    }))
}

function rulesAt(filters: FilterSlots): AuthorizationConfig | undefined {
  const slot = filters[authorization.name]?.find(({ mode }) => mode === 'enforce')
  if (slot?.state !== 'resolved') return undefined
  const decoded = authorization.decode(slot.config)
  return decoded.ok ? decoded.value : undefined
}

function goesByToken({ from, when }: Rule): boolean {
  return from?.issuers !== undefined || from?.claims !== undefined || /\bclaims\b/.test(when ?? '')
}

function placeOf(snapshot: Snapshot, { origin, name }: Rule, effect: 'allow' | 'deny') {
  return { resource: resourceOfOrigin(origin), path: pathOfRule(snapshot, origin, name, `authorization.${effect}`) }
}

function unique(found: readonly Found[]): readonly Found[] {
  return [...new Map(found.map((each) => [`${each.code} ${each.resource} ${each.message}`, each])).values()]
}

function list(names: readonly string[]): string {
  return [...new Set(names)].join(', ')
}
