import { customResourceDefinitions } from '../../../operator/crds/custom-resource-definitions.ts'
import { BUNDLE_VERSION_ANNOTATION, GATEWAY_API_CRDS } from '../../../operator/gateways/class-status.ts'
import { recordOf } from '../../../operator/kubernetes/object.ts'
import { KINDS } from '../../../operator/resources/kinds.ts'
import { SECTIONS } from '../../../policies/sections.ts'
import { OUR_DEFINITIONS } from '../collect.ts'
import type { ClusterFacts } from '../facts.ts'
import { conditionOf, type Definition } from '../objects.ts'
import type { Look } from '../read.ts'
import {
  type CheckSection,
  counted,
  error,
  type Judgement,
  judged,
  type Problem,
  skipped,
  some,
  warn,
} from './check.ts'

/** Native sidecars, and a `preStop` that sleeps, are on by default from here on. The chart asks for the same. */
const MIN_MINOR = 30

/** The release of Gateway API that this one was made for, as the chart brings it. */
const GATEWAY_API_MAJOR_MINOR = [1, 6] as const

export const KUBERNETES: CheckSection = {
  title: 'Kubernetes',
  checks: [
    {
      id: 'api-reachable',
      title: 'the API server answers',
      judge({ version, server, context }) {
        const detail = `${server}, context ${context}`
        if (version.kind === 'seen') return judged([], detail)
        const why = version.kind === 'failed' ? version.why : 'it has no /version'
        const fix = 'see that `kubectl version` works with the same context; --context and --kubeconfig choose another'
        return judged([error(undefined, why, fix)], detail)
      },
    },
    {
      id: 'kubernetes-version',
      title: `Kubernetes is 1.${MIN_MINOR} or newer`,
      judge({ version }) {
        if (version.kind !== 'seen') return skipped('the API server does not say its version')
        const [, major = '0', minor = '0'] = /^v?(\d+)\.(\d+)/.exec(version.value) ?? []
        const isEnough = Number(major) > 1 || Number(minor) >= MIN_MINOR
        const message = `it is ${version.value}, which does not start sidecars before the app nor end them after it`
        return judged(isEnough ? [] : [error(undefined, message, `upgrade to 1.${MIN_MINOR} or newer`)], version.value)
      },
    },
    { id: 'permissions', title: 'everything could be looked at', judge: judgePermissions },
    {
      id: 'gateway-api-definitions',
      title: 'the definitions of Gateway API are there',
      judge: (facts) => judgeDefinitions(facts, GATEWAY_API_CRDS, 'helm upgrade with gatewayApi.install=true'),
    },
    { id: 'gateway-api-release', title: 'Gateway API is a release that is known', judge: judgeGatewayApi },
    {
      id: 'definitions',
      title: 'the definitions of hauberk.dev are there',
      judge: (facts) => judgeDefinitions(facts, OUR_DEFINITIONS, 'helm upgrade, with crds.install=true'),
    },
    { id: 'definitions-release', title: 'the definitions have every field of this release', judge: judgeFields },
  ],
}

/** What nobody may see can be wrong without a word, so it is said. */
function judgePermissions(facts: ClusterFacts): Judgement {
  if (facts.version.kind !== 'seen') return skipped('the API server does not answer')
  const looks: readonly (readonly [string, Look<unknown>])[] = [
    ...facts.definitions,
    ...facts.webhooks,
    ...facts.resources,
    ['Deployment hauberk-operator', facts.deployment],
    ['PodDisruptionBudget hauberk-operator', facts.disruptionBudget],
    ['Lease hauberk-operator', facts.lease],
    ['MeshConfig', facts.meshConfig],
    ['namespaces', facts.namespaces],
    ['pods', facts.pods],
    ['ConfigMaps', facts.trustAnchors],
  ]
  const refused = looks.flatMap(([name, look]) => (look.kind === 'failed' && look.isForbidden ? [name] : []))
  const broken = looks.flatMap(([name, look]): Problem[] =>
    look.kind === 'failed' && !look.isForbidden ? [error(undefined, `${name} cannot be read: ${look.why}`)] : [],
  )
  if (refused.length === 0) return judged(broken)
  // Who asks about one namespace need not be let see what is of the cluster.
  const problem = facts.scope === undefined ? error : warn
  const message = `you may not read ${refused.join(', ')}: what depends on that is skipped`
  return judged([problem(undefined, message, 'ask as somebody who may'), ...broken])
}

function judgeDefinitions({ definitions }: ClusterFacts, names: readonly string[], remedy: string): Judgement {
  const problems: Problem[] = []
  let looked = 0
  for (const name of names) {
    const look = definitions.get(name)
    if (look === undefined || look.kind === 'failed') continue
    looked += 1
    const resource = `CustomResourceDefinition/${name}`
    if (look.kind === 'absent') {
      problems.push(error(resource, 'is not there: what is written of its kind is refused', remedy))
      continue
    }
    const { value } = look
    const wanted = versionsOf(name)
    const served = (value.spec?.versions ?? []).filter(({ served: isServed }) => isServed === true)
    if (!served.some((version) => wanted.includes(version.name))) {
      const has = served.map((version) => version.name).join(', ') || 'none'
      problems.push(error(resource, `does not serve ${wanted.join(' or ')}, only ${has}`, remedy))
    }
    const established = conditionOf(value, 'Established')
    if (established?.status !== 'True') {
      problems.push(error(resource, `is not served: ${established?.message ?? 'it was only just made'}`, remedy))
    }
  }
  return looked === 0 ? skipped('they cannot be read') : judged(problems, counted(looked, 'definition'))
}

function versionsOf(definition: string): readonly string[] {
  const [plural = ''] = definition.split('.')
  const { apiVersions = [] } = KINDS.find((each) => each.plural === plural) ?? {}
  return apiVersions.map((version) => version.split('/')[1] ?? '')
}

const CHANNEL_ANNOTATION = 'gateway.networking.k8s.io/channel'

function judgeGatewayApi({ definitions }: ClusterFacts): Judgement {
  const found = GATEWAY_API_CRDS.flatMap((name) => {
    const look = definitions.get(name)
    if (look?.kind !== 'seen') return []
    const { annotations = {} } = look.value.metadata
    return [{ name, version: annotations[BUNDLE_VERSION_ANNOTATION] ?? '', channel: annotations[CHANNEL_ANNOTATION] }]
  })
  if (found.length === 0) return skipped('there are none of its definitions')
  const versions = [...new Set(found.map(({ version }) => version || 'of no release'))]
  const detail = `${versions.join(', ')}, channel ${[...new Set(found.map(({ channel }) => channel ?? 'not said'))].join(', ')}`
  const problems: Problem[] = []
  if (versions.length > 1) {
    problems.push(
      warn(undefined, `its definitions are of several releases: ${versions.join(', ')}`, 'apply one release'),
    )
  }
  for (const version of versions) {
    const [, major, minor] = /^v(\d+)\.(\d+)\./.exec(version) ?? []
    if (major === undefined || minor === undefined) {
      problems.push(warn(undefined, `a definition says of no release that it is its own (${version})`, TESTED))
    } else if (Number(major) !== GATEWAY_API_MAJOR_MINOR[0] || Number(minor) < 1) {
      problems.push(warn(undefined, `${version} is not one that Hauberk was tried with`, TESTED))
    }
  }
  return judged(problems, detail)
}

const TESTED = `apply v${GATEWAY_API_MAJOR_MINOR.join('.')}, or leave it to the chart`

/** An older definition drops the fields that it does not know, and with them what they were to protect. */
function judgeFields({ definitions }: ClusterFacts): Judgement {
  const problems: Problem[] = []
  let looked = 0
  for (const ours of customResourceDefinitions(SECTIONS)) {
    const { name } = recordOf(recordOf(ours)['metadata']) as { readonly name: string }
    const look = definitions.get(name)
    if (look?.kind !== 'seen') continue
    looked += 1
    const theirs = fieldsOf(schemaOf(look.value), '')
    const missing = [...fieldsOf(schemaOf(ours as unknown as Definition), '')].filter((path) => !theirs.has(path))
    if (missing.length === 0) continue
    const message = `is of another release and drops ${some(missing)}`
    problems.push(
      error(`CustomResourceDefinition/${name}`, message, 'helm upgrade with the chart of this release, or use its CLI'),
    )
  }
  return looked === 0 ? skipped('they are not there, or cannot be read') : judged(problems)
}

function schemaOf({ spec }: Definition): unknown {
  return spec?.versions?.find(({ name }) => name === 'v1alpha1')?.schema?.openAPIV3Schema
}

/** Paths of the fields below `spec` and `status`; entries of lists as `[]`. */
function fieldsOf(schema: unknown, path: string): ReadonlySet<string> {
  const { properties, items } = recordOf(schema)
  const found = new Set<string>()
  for (const [name, inner] of Object.entries(recordOf(properties))) {
    if (path === '' && name !== 'spec' && name !== 'status') continue
    const own = path === '' ? name : `${path}.${name}`
    found.add(own)
    for (const below of fieldsOf(inner, own)) found.add(below)
  }
  if (items !== undefined) for (const below of fieldsOf(items, `${path}[]`)) found.add(below)
  return found
}
