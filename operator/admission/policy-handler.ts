import { createHash } from 'node:crypto'
import type { Filter, FilterDeps } from '../../model/filter.ts'
import { type Resource, resourceKey } from '../../model/resource.ts'
import { type Issue, issue } from '../../model/result.ts'
import { isSame } from '../../model/same.ts'
import type { Section } from '../../model/section.ts'
import { FILTERS } from '../../policies/filters.ts'
import { SECTIONS } from '../../policies/sections.ts'
import type { Clock } from '../../runtime/clock.ts'
import { kindOf } from '../resources/kinds.ts'
import { reviewResource } from '../schema/review.ts'
import { createValidator } from '../schema/validator.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { type Translation, translate } from '../translate/translate.ts'
import { type AdmissionAnswer, type AdmissionHandler, type AdmissionRequest, judged } from './admission-review.ts'
import { compileIssues } from './compile-slots.ts'
import { inlineSecrets } from './inline-secrets.ts'
import { neighbourhoodOf } from './neighbourhood.ts'

/** What the webhook for policies needs to know. */
export interface PolicyHandlerOptions {
  readonly snapshot: () => Snapshot
  /** Of that snapshot or of one before: what it made is not made again. */
  readonly translation: () => Translation | undefined
  /** What sidecars are told to trust, as the translation had it. */
  readonly roots: () => readonly string[]
  readonly clock: Pick<Clock, 'now' | 'monotonic'>
  readonly sections?: readonly Section[]
  readonly filters?: readonly Filter[]
}

/**
 * Answers whether a resource of ours may be stored: by its schema, by what `translate` makes of it beside all the others, and
 * by what the filters of a sidecar make of that. Only what is wrong with this resource counts.
 *
 * What it refers to may come later, in the same `kubectl apply`: that it is missing is a warning, and the policy refuses
 * until it is there. To delete what others refer to is a warning too.
 */
export function createPolicyHandler(options: PolicyHandlerOptions): AdmissionHandler {
  const { snapshot, translation, roots, clock, sections = SECTIONS, filters = FILTERS } = options
  const validate = createValidator(sections)
  const deps = compileDeps(clock)

  const review = (resource: Resource): readonly Issue[] => {
    const found = [...inlineSecrets(resource), ...reviewResource(resource, sections)]
    if (found.some(({ severity }) => severity === 'error')) return found
    const { kind, metadata } = resource
    const key = resourceKey(kind, metadata.namespace, metadata.name)
    const translated = translate(
      neighbourhoodOf(resource, snapshot()),
      { sha256, mesh: { roots: roots() }, sections, filters, only: key },
      translation(),
    )
    const report = translated.reports.get(key)
    const origin = metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`
    const isEnforced = (resource.spec as { readonly mode?: unknown } | undefined)?.mode !== 'DryRun'
    const reported = (report?.issues ?? []).map((each) => asJudged(each, isEnforced))
    const configs = (report?.selected ?? []).flatMap((id) => translated.configs.get(id) ?? [])
    return unique([...found, ...reported, ...compileIssues(configs, origin, filters, deps)])
  }

  return (request) => {
    if (request.operation === 'DELETE') return judged(usersOf(request, snapshot(), translation()))
    if (request.operation === 'CONNECT' || request.subResource !== '') return judged([])
    // Labels, annotations and finalizers come and go, whatever a floor says since.
    if (request.operation === 'UPDATE' && isSame(specOf(request.object), specOf(request.oldObject))) {
      const known = new Set(secretsOf(request.oldObject).map(({ path }) => path))
      return judged(secretsOf(request.object).filter(({ path }) => !known.has(path)))
    }
    const validation = validate(request.object)
    switch (validation.kind) {
      case 'ignored':
        return judged([])
      case 'invalid':
        return judged(validation.issues.map((each) => each.issue))
      case 'valid':
        return answerFor(validation.resource, review)
    }
  }
}

function answerFor(resource: Resource, review: (resource: Resource) => readonly Issue[]): AdmissionAnswer {
  const known = kindOf(resource.apiVersion, resource.kind)
  return judged(known?.specSchema === undefined ? [] : review(resource))
}

/** Errors of translation that are about the policy itself. The others are about what it refers to, which may come. */
const OWN_ERRORS: ReadonlySet<string> = new Set(['section-failed', 'unreadable-section', 'not-at-a-gateway'])

/** What is only a warning where a floor may have come after the policy is none where the policy comes after the floor. */
function asJudged(found: Issue, isEnforced: boolean): Issue {
  if (found.code === 'weakens-floor') return { ...found, severity: isEnforced ? 'error' : 'warning' }
  if (OWN_ERRORS.has(found.code)) return found
  return { ...found, severity: 'warning' }
}

/** How many would miss what is to be deleted. Who they are is none of the business of whoever deletes it. */
function usersOf(
  { kind, name }: AdmissionRequest,
  snapshot: Snapshot,
  translation: Translation | undefined,
): readonly Issue[] {
  if (kind.kind === 'TokenIssuer') {
    const users = [...(translation?.issuers.values() ?? [])].filter((issuers) => issuers.includes(name)).length
    return inUse(users, 'workload', 'its tokens will be refused')
  }
  if (kind.kind === 'GatewayClass') {
    const users = snapshot.ofKind('Gateway').filter(({ spec }) => {
      return (spec as { readonly gatewayClassName?: unknown } | undefined)?.gatewayClassName === name
    }).length
    return inUse(users, 'Gateway', 'it will be served no more')
  }
  return []
}

function inUse(users: number, word: string, what: string): readonly Issue[] {
  if (users === 0) return []
  const found = issue('in-use', '', `is used by ${users} ${word}${users === 1 ? '' : 's'}: ${what}`)
  return [{ ...found, severity: 'warning' }]
}

function unique(issues: readonly Issue[]): readonly Issue[] {
  return [...new Map(issues.map((each) => [`${each.code} ${each.path} ${each.message}`, each])).values()]
}

function specOf(object: unknown): unknown {
  return (object as { readonly spec?: unknown } | null)?.spec
}

/** What `kubectl apply` remembers may hold one also where the spec is the same. */
function secretsOf(object: unknown): readonly Issue[] {
  const { metadata } = (object ?? {}) as { readonly metadata?: unknown }
  return typeof metadata === 'object' && metadata !== null ? inlineSecrets(object as Resource) : []
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

/** Enough to compile. Nothing that is compiled here ever sees a request, so that no token is verified and nothing is counted. */
function compileDeps(clock: Pick<Clock, 'now' | 'monotonic'>): FilterDeps {
  const unused = () => {
    throw new Error('a filter verified something while it was compiled')
  }
  return {
    clock,
    crypto: { sha256, importJwk: unused, verify: unused },
    keys: { generation: 0, keysOf: () => undefined, refresh: () => Promise.resolve() },
    remember: (_key, create) => create(),
    count() {},
  }
}
