import type { FilterSlots } from '../../../contract/workload-config.ts'
import { secretGrantYaml } from '../../../operator/resources/secret-grant.ts'
import { snapshotOf } from '../../../operator/store/snapshot.ts'
import type { JwtConfig } from '../../../policies/jwt/config.ts'
import { jwt } from '../../../policies/jwt/filter.ts'
import { exposureOf } from '../../check/exposure.ts'
import { type ClusterFacts, isInScope } from '../facts.ts'
import { type Conditioned, conditionOf, nameOf } from '../objects.ts'
import { seenOr } from '../read.ts'
import {
  type CheckSection,
  counted,
  error,
  info,
  type Judgement,
  judged,
  type Problem,
  skipped,
  some,
  warn,
} from './check.ts'

export const POLICIES: CheckSection = {
  title: 'Policies',
  checks: [
    { id: 'statuses-current', title: 'every status is of what is written now', judge: judgeCurrent },
    {
      id: 'policies-accepted',
      title: 'every policy is accepted',
      judge: (facts) => judgeCondition(facts, 'Accepted', () => 'nobody obeys it'),
    },
    {
      id: 'references-resolved',
      title: 'everything that is referred to is there',
      judge: (facts) => judgeCondition(facts, 'ResolvedRefs', () => 'what depends on it refuses'),
    },
    { id: 'secret-grants', title: 'the operator may read the Secrets that are named', judge: judgeGrants },
    { id: 'policies-programmed', title: 'every policy is in force everywhere', judge: judgeProgrammed },
    { id: 'token-keys', title: 'the keys of every token issuer are there', judge: judgeKeys },
    { id: 'token-lifetime', title: 'no token lives for long', judge: judgeTokenLifetime },
    { id: 'tokens-kept', title: 'no token is passed on to an app', judge: judgeTokensKept },
    { id: 'dry-runs', title: 'no dry run would refuse anybody', judge: judgeDryRuns },
    { id: 'no-policy', title: 'every workload has a policy', judge: (facts) => judgeExposure(facts, 'no-policy') },
    {
      id: 'plaintext-in',
      title: 'no workload takes plaintext',
      judge: (facts) => judgeExposure(facts, 'plaintext'),
    },
    { id: 'plaintext-out', title: 'no workload sends plaintext to a Service', judge: judgePlaintextOut },
    {
      id: 'allows-everybody',
      title: 'no rule lets everybody do everything',
      judge: (facts) => judgeExposure(facts, 'allows-everybody'),
    },
  ],
}

const OUR_KINDS = [
  'SecurityPolicy',
  'MeshSecurityPolicy',
  'TrafficPolicy',
  'TokenIssuer',
  'TokenRevocation',
  'GatewayParameters',
] as const
const NONE = 'there are no policies'

function ours({ resources }: ClusterFacts): readonly Conditioned[] {
  return OUR_KINDS.flatMap((kind) => seenOr(resources.get(kind) ?? { kind: 'absent' }, []))
}

function keyOf(resource: Conditioned): string {
  return `${resource.kind}/${nameOf(resource)}`
}

function judgeCurrent(facts: ClusterFacts): Judgement {
  const all = ours(facts)
  if (all.length === 0) return skipped(NONE)
  const problems = all.flatMap((resource): Problem[] => {
    const { generation } = resource.metadata
    const observed = resource.status?.observedGeneration
    if (observed === generation) return []
    const message =
      observed === undefined
        ? 'has no status: no operator has read it yet'
        : `has a status of generation ${observed}, and is of ${generation}`
    return [warn(keyOf(resource), message, 'the leading operator writes it within seconds; see its log')]
  })
  return judged(problems, counted(all.length, 'resource'))
}

function judgeCondition(facts: ClusterFacts, type: string, consequence: (reason: string) => string): Judgement {
  const all = ours(facts)
  if (all.length === 0) return skipped(NONE)
  const problems = all.flatMap((resource): Problem[] => {
    const { status, reason = '', message = '' } = conditionOf(resource, type) ?? {}
    if (status !== 'False') return []
    return [error(keyOf(resource), `${reason}: ${stop(message)} ${consequence(reason)}`)]
  })
  return judged(problems)
}

function stop(message: string): string {
  return /[.!?]$/.test(message) ? message : `${message};`
}

/** These follow from another condition, which is told. */
const TOLD: ReadonlySet<string> = new Set(['Invalid', 'NotAccepted'])
/** What passes by itself, or may be meant. */
const MILD: ReadonlySet<string> = new Set(['Reconciling', 'Overridden', 'PartiallyProgrammed'])

function judgeProgrammed(facts: ClusterFacts): Judgement {
  const all = ours(facts).filter((resource) => conditionOf(resource, 'Programmed') !== undefined)
  if (all.length === 0) return skipped('no policy has a status yet')
  const problems = all.flatMap((resource): Problem[] => {
    const { status, reason = '', message = '' } = conditionOf(resource, 'Programmed') ?? {}
    if (status === 'True' || TOLD.has(reason)) return []
    const problem = MILD.has(reason) ? warn : error
    return [problem(keyOf(resource), `${reason}: ${message}`)]
  })
  const sum = (of: (resource: Conditioned) => number | undefined) =>
    all.reduce((total, each) => total + (of(each) ?? 0), 0)
  const acknowledged = sum(({ status }) => status?.workloads?.acknowledged)
  const selected = sum(({ status }) => status?.workloads?.selected)
  return judged(problems, `acknowledged ${acknowledged}/${selected}`)
}

/** The whole grant of each namespace: `kubectl apply` replaces the one before. */
function judgeGrants({ secrets }: ClusterFacts): Judgement {
  if (secrets.length === 0) return judged([], 'none is named')
  const asked = secrets.filter(({ access }) => access !== undefined)
  if (asked.length === 0) return skipped('you may not ask what the operator may do (create on subjectaccessreviews)')
  const missing = asked.filter(({ access }) => access === false)
  const problems = [...Map.groupBy(missing, ({ namespace }) => namespace)].map(([namespace, group]): Problem => {
    const all = secrets.filter((each) => each.namespace === namespace)
    const names = group.map(({ name, by }) => `${name} (named by ${some(by)})`)
    return {
      ...error(
        `Namespace/${namespace}`,
        `the operator may not read ${some(names)}`,
        'let it, with kubectl apply -f -:',
      ),
      paste: secretGrantYaml(all),
    }
  })
  return judged(problems, counted(secrets.length, 'Secret'))
}

function judgeKeys({ status }: ClusterFacts): Judgement {
  if ('silent' in status) return skipped('the operator does not say which keys it has')
  if (status.issuers.length === 0) return skipped('there are no token issuers')
  const problems = status.issuers.flatMap(({ name, keys, failure }): Problem[] => {
    const resource = `TokenIssuer/${name}`
    const fix = 'see spec.jwks; an address outside of the mesh has to be in egress of MeshConfig'
    if (keys === 0) {
      const why = failure === undefined ? '' : `: ${failure}`
      return [error(resource, `has no keys, so its tokens are answered 503${why}`, fix)]
    }
    return failure === undefined ? [] : [warn(resource, `keeps the keys it has: ${failure}`, fix)]
  })
  return judged(problems, status.issuers.map(({ name, keys }) => `${name} ${keys}`).join(', '))
}

/** What an access token may live: whoever finds one can use it for no longer. */
const MAX_LIFETIME_MS = 15 * 60_000

/** A workload whose policy verifies tokens, and how. */
interface Verifying {
  readonly workload: string
  readonly config: JwtConfig
}

function verifyingOf(facts: ClusterFacts): readonly Verifying[] {
  // A gateway gives a token to a workload whose own policy may verify it.
  return configsOf(facts).flatMap(({ workload, role, listeners }) => {
    if (role === 'gateway') return []
    const places = listeners.flatMap((listener): readonly { readonly filters: FilterSlots }[] =>
      listener.protocol === 'tcp' ? [] : listener.routes,
    )
    return places.flatMap(({ filters }) => {
      const slot = filters[jwt.name]?.find(({ mode }) => mode === 'enforce')
      const config = slot?.state === 'resolved' ? jwt.decode(slot.config) : undefined
      return config?.ok === true ? [{ workload, config: config.value }] : []
    })
  })
}

function judgeTokenLifetime(facts: ClusterFacts): Judgement {
  if (configsOf(facts).length === 0) return skipped('no sidecar says what it obeys')
  const verifying = verifyingOf(facts)
  if (verifying.length === 0) return judged([], 'no policy verifies any')
  const bounds = verifying.flatMap(({ config }) => config.issuers.map(({ maxLifetimeMs = Infinity }) => maxLifetimeMs))
  const longest = Math.max(...bounds)
  if (longest <= MAX_LIFETIME_MS) return judged([], `${longest / 60_000} min at most`)
  const message = Number.isFinite(longest)
    ? `takes tokens that live for up to ${Math.round(longest / 60_000)} minutes: whoever finds one has it for as long`
    : 'sets no maxTokenLifetime: a token that somebody finds is good for as long as its issuer said, be it years'
  return judged([
    warn('MeshConfig/default', message, 'say maxTokenLifetime: 15m, and have clients refresh their tokens'),
  ])
}

function judgeTokensKept(facts: ClusterFacts): Judgement {
  if (configsOf(facts).length === 0) return skipped('no sidecar says what it obeys')
  const verifying = verifyingOf(facts)
  const keeping = verifying.filter(({ config }) => config.forward === 'keep').map(({ workload }) => workload)
  const problems = [...new Set(keeping)].map((workload) =>
    warn(
      `Deployment/${workload}`,
      "is given its callers' tokens (forward: Keep): what it logs, keeps or sends on is a login of theirs",
      'have what it needs in claimHeaders, and the token stripped',
    ),
  )
  return judged(problems, counted(new Set(verifying.map(({ workload }) => workload)).size, 'workload'))
}

function judgeDryRuns(facts: ClusterFacts): Judgement {
  const problems = ours(facts).flatMap((resource): Problem[] => {
    const { wouldDeny = 0, topRule } = resource.status?.dryRun ?? {}
    if (wouldDeny === 0) return []
    const most = topRule === undefined ? '' : `, most by ${topRule}`
    return [info(keyOf(resource), `would have refused ${counted(wouldDeny, 'request')}${most}`)]
  })
  return judged(problems)
}

function configsOf({ sidecars }: ClusterFacts) {
  return sidecars.flatMap(({ config }) => config ?? [])
}

/** Rules are placed in files elsewhere; here the name of the policy is all that is needed. */
const NO_FILES = snapshotOf([])

function judgeExposure(facts: ClusterFacts, code: string): Judgement {
  const configs = configsOf(facts)
  if (configs.length === 0) return skipped('no sidecar says what it obeys')
  const problems = configs.flatMap((config) =>
    exposureOf(config, NO_FILES).flatMap((found): Problem[] =>
      found.code === code ? [warn(found.resource, found.message, found.fix)] : [],
    ),
  )
  return judged(problems, counted(configs.length, 'workload'))
}

function judgePlaintextOut(facts: ClusterFacts): Judgement {
  const configs = configsOf(facts).filter(({ workload }) => isInScope(facts, workload.split('/')[0]))
  if (configs.length === 0) return skipped('no sidecar says what it obeys')
  const callers = new Map<string, string[]>()
  for (const { workload, upstreams, outbound } of configs) {
    for (const { service, upstream } of outbound.services) {
      if (upstreams[upstream]?.tls !== 'plaintext') continue
      callers.set(service, [...(callers.get(service) ?? []), workload])
    }
  }
  const problems = [...callers].map(([service, workloads]) =>
    warn(
      `Service/${service}`,
      `is called in plaintext, as egress of MeshConfig lets ${some([...new Set(workloads)])} do`,
      'give its pods sidecars, and take it out of egress',
    ),
  )
  return judged(problems)
}
