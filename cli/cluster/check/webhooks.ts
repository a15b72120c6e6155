import { SIDECAR_CONTAINER } from '../../../contract/pod.ts'
import { isSame } from '../../../model/same.ts'
import { WEBHOOK_CONFIGURATIONS, WEBHOOK_SERVICE } from '../../../operator/admission/ca-bundle.ts'
import { INJECT_LABEL } from '../../../operator/inject/annotations.ts'
import { recordOf } from '../../../operator/kubernetes/object.ts'
import { fingerprintsOf } from '../collect.ts'
import type { ClusterFacts, Trial } from '../facts.ts'
import type { WebhookConfiguration } from '../objects.ts'
import { seen } from '../read.ts'
import { type CheckSection, error, type Judgement, judged, type Problem, skipped, warn } from './check.ts'
import { trustedRoots } from './roots.ts'

export const WEBHOOKS: CheckSection = {
  title: 'Webhooks',
  checks: [
    { id: 'webhooks-present', title: 'the webhooks are registered', judge: judgePresent },
    { id: 'webhooks-lead-here', title: 'they lead to the operator, with its secret path', judge: judgePlace },
    { id: 'webhooks-trust', title: 'they trust the roots of the mesh, and no others', judge: judgeBundle },
    { id: 'webhooks-fail-closed', title: 'they fail closed', judge: judgePolicy },
    { id: 'injection-answers', title: 'a pod is injected (tried, not kept)', judge: judgeInjection },
    { id: 'review-answers', title: 'a policy that cannot be meant is refused (tried, not kept)', judge: judgeReview },
  ],
}

const UPGRADE = 'helm upgrade puts it back'

interface Entry {
  readonly resource: string
  readonly webhook: NonNullable<WebhookConfiguration['webhooks']>[number]
  readonly leadsTo: string
  readonly isOptional: boolean
}

/** The webhooks that are known here, of the configurations that were seen. */
function entriesOf({ webhooks }: ClusterFacts): readonly Entry[] {
  return WEBHOOK_CONFIGURATIONS.flatMap(({ plural, name, webhooks: known }) => {
    const look = webhooks.get(name)
    if (look?.kind !== 'seen') return []
    return (look.value.webhooks ?? []).flatMap((webhook) => {
      const ours = known.find((each) => each.name === webhook.name)
      if (ours === undefined) return []
      const { leadsTo, optional = false } = ours
      return [{ resource: resourceOf(plural, name), webhook, leadsTo, isOptional: optional }]
    })
  })
}

function resourceOf(plural: string, name: string): string {
  return `${plural.startsWith('mutating') ? 'Mutating' : 'Validating'}WebhookConfiguration/${name}`
}

/** What a webhook guards, for messages. */
const GUARDED: Readonly<Record<string, string>> = {
  'inject.hauberk.dev': 'pods are not injected',
  'pods.hauberk.dev': 'pods are not checked, and one without a sidecar is taken',
  'changes.hauberk.dev': 'nobody checks what is changed beside a sidecar',
  'policies.hauberk.dev': 'policies that cannot be enforced are taken',
}

function judgePresent(facts: ClusterFacts): Judgement {
  const left = WEBHOOK_CONFIGURATIONS.filter(({ name }) => facts.webhooks.get(name)?.kind === 'seen')
  if (facts.deployment.kind === 'absent') {
    const fix = 'install the operator again, or delete them'
    const message = 'is there without an operator: pods of opted-in namespaces are refused'
    return left.length === 0
      ? skipped('the operator is not installed')
      : judged(left.map(({ plural, name }) => error(resourceOf(plural, name), message, fix)))
  }
  const problems: Problem[] = []
  let looked = 0
  for (const { plural, name, webhooks: known } of WEBHOOK_CONFIGURATIONS) {
    const look = facts.webhooks.get(name)
    if (look === undefined || look.kind === 'failed') continue
    looked += 1
    const there = look.kind === 'seen' ? (look.value.webhooks ?? []) : []
    for (const wanted of known) {
      if (wanted.optional === true || there.some((each) => each.name === wanted.name)) continue
      const consequence = GUARDED[wanted.name] ?? 'it is never asked'
      problems.push(error(resourceOf(plural, name), `has no ${wanted.name}: ${consequence}`, UPGRADE))
    }
  }
  return looked === 0 ? skipped('they cannot be read') : judged(problems)
}

/** Whoever knows the path is taken for the API server (T28). */
const SECRET_PATH = /^\/([a-z]+)\/[0-9a-f]{64}$/

function judgePlace(facts: ClusterFacts): Judgement {
  const entries = entriesOf(facts)
  if (entries.length === 0) return skipped('there are no webhooks')
  const { namespace, name, port } = WEBHOOK_SERVICE
  const problems = entries.flatMap(({ resource, webhook, leadsTo }): Problem[] => {
    const { service = {}, url } = webhook.clientConfig ?? {}
    const isOurs = service.namespace === namespace && service.name === name && (service.port ?? 443) === port
    const path = SECRET_PATH.exec(service.path ?? '')?.[1]
    if (url === undefined && isOurs && path === leadsTo) return []
    const place = url ?? `${service.namespace}/${service.name}:${service.port ?? 443}`
    // The path is a secret: it is not printed.
    const message =
      url === undefined && isOurs
        ? `${webhook.name} has ${service.path === undefined ? 'no path' : 'another path than the operator takes'}`
        : `${webhook.name} leads to ${place}`
    return [error(resource, `${message}: each call fails`, 'the leading operator puts it right; see its log')]
  })
  return judged(problems)
}

function judgeBundle(facts: ClusterFacts): Judgement {
  const entries = entriesOf(facts)
  const trusted = trustedRoots(facts)
  if (entries.length === 0) return skipped('there are no webhooks')
  if (trusted === undefined) return skipped('nobody says which roots the mesh has')
  const problems = entries.flatMap(({ resource, webhook }): Problem[] => {
    const pem = Buffer.from(webhook.clientConfig?.caBundle ?? '', 'base64').toString('utf8')
    const found = fingerprintsOf(pem)
    if (isSame([...new Set(found)].sort(), [...trusted].sort())) return []
    const has = found.length === 0 ? 'no certificate' : `${found.length}, not those that count`
    const message = `caBundle of ${webhook.name} holds ${has}: the API server may refuse the operator's certificate`
    return [error(resource, message, 'the leading operator puts it right; see its log')]
  })
  return judged(problems)
}

/** Those that are for the pods of opted-in namespaces. */
const BY_NAMESPACE: ReadonlySet<string> = new Set(['inject.hauberk.dev', 'pods.hauberk.dev'])

function judgePolicy(facts: ClusterFacts): Judgement {
  const entries = entriesOf(facts)
  if (entries.length === 0) return skipped('there are no webhooks')
  const problems = entries.flatMap(({ resource, webhook, isOptional }): Problem[] => {
    if (isOptional) return []
    const found: Problem[] = []
    if (webhook.failurePolicy !== 'Fail') {
      const message = `failurePolicy of ${webhook.name} is ${webhook.failurePolicy}: while no operator answers, ${GUARDED[webhook.name] ?? 'nobody is asked'}`
      found.push(error(resource, message, `failurePolicy: Fail; ${UPGRADE}`))
    }
    if (!BY_NAMESPACE.has(webhook.name)) return found
    if (webhook.namespaceSelector?.matchLabels?.[INJECT_LABEL] !== 'enabled') {
      const message = `${webhook.name} does not go by the label ${INJECT_LABEL}: enabled of namespaces`
      found.push(error(resource, message, UPGRADE))
    }
    return found
  })
  return judged(problems)
}

/** What an API server says when it does not take the other side's certificate. */
const CERTIFICATE_TROUBLE = /x509|certificate|tls:/

function notCalled({ webhook, why }: Extract<Trial, { kind: 'not-called' }>): Problem {
  const fix = CERTIFICATE_TROUBLE.test(why)
    ? 'its certificate or caBundle is wrong: the leading operator renews both, see its log'
    : 'see that operators are ready, and that the API server reaches their pods (network policies, a firewall)'
  return error(undefined, `the API server cannot call ${webhook}: ${why}`, fix)
}

function judgeInjection({ injection, deployment }: ClusterFacts): Judgement {
  if (seen(deployment) === undefined) return skipped('the operator is not installed')
  switch (injection.kind) {
    case 'not-tried':
      return skipped(injection.why)
    case 'not-called':
      return judged([notCalled(injection)])
    case 'refused':
      return injection.by?.endsWith('.hauberk.dev') === true
        ? judged([warn(undefined, `answers, and refuses every pod: ${injection.why}`)])
        : skipped(`another webhook refuses pods: ${injection.by}`)
    case 'taken': {
      const spec = recordOf(recordOf(injection.object)['spec'])
      const containers = [spec['initContainers'], spec['containers']].flatMap((list) =>
        Array.isArray(list) ? list : [],
      )
      if (containers.some((each) => recordOf(each)['name'] === SIDECAR_CONTAINER)) return judged([])
      const message = 'a pod of an opted-in namespace is taken without a sidecar'
      return judged([error(undefined, message, 'see the webhook hauberk-inject, and others that undo what it does')])
    }
  }
}

function judgeReview({ review, deployment }: ClusterFacts): Judgement {
  if (seen(deployment) === undefined) return skipped('the operator is not installed')
  switch (review.kind) {
    case 'not-tried':
      return skipped(review.why)
    case 'not-called':
      return judged([notCalled(review)])
    case 'refused':
      return review.by === 'policies.hauberk.dev' ? judged([]) : skipped(`another webhook refuses it: ${review.by}`)
    case 'taken':
      return judged([
        error(undefined, 'a policy with an expression that is none was taken: nobody reviews policies', UPGRADE),
      ])
  }
}
