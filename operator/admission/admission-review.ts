import * as v from 'valibot'
import { read } from '../../contract/codec.ts'
import { describeIssue, fail, type Issue, issue, type Result } from '../../model/result.ts'
import { exceedsDepth } from './json-depth.ts'
import type { PatchStep } from './json-patch.ts'

/** What the API server asks: whether an object may be stored (admission.k8s.io/v1). */
export interface AdmissionRequest {
  readonly uid: string
  readonly kind: { readonly group: string; readonly version: string; readonly kind: string }
  /** `ephemeralcontainers`; empty for the object itself. */
  readonly subResource: string
  /** Empty where the API server is to make one up. */
  readonly name: string
  /** Empty for what is cluster-scoped. */
  readonly namespace: string
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT'
  /** Who made the request, as the API server authenticated them: no answer depends on it. Empty: it does not say. */
  readonly user: string
  /** Nothing is to come of it, whatever is answered. */
  readonly isDryRun: boolean
  /** As it is to be stored; null when it is to be deleted. */
  readonly object: unknown
  /** As it is stored; null when it is new. */
  readonly oldObject: unknown
}

/** What is answered. Refusals have issues of severity `error`; warnings are shown to whoever made the request. */
export type AdmissionAnswer =
  | { readonly allowed: true; readonly patch?: readonly PatchStep[]; readonly warnings: readonly Issue[] }
  | { readonly allowed: false; readonly issues: readonly Issue[]; readonly warnings: readonly Issue[] }

/** Answers one question. Has no effect of its own: the same question may be asked twice, or for a dry run. */
export type AdmissionHandler = (request: AdmissionRequest) => AdmissionAnswer

/** Allowed unless something is an error. */
export function judged(issues: readonly Issue[]): AdmissionAnswer {
  const warnings = issues.filter(({ severity }) => severity === 'warning')
  const errors = issues.filter(({ severity }) => severity === 'error')
  return errors.length === 0 ? { allowed: true, warnings } : { allowed: false, issues: errors, warnings }
}

/** Nesting of a whole review at most; the deepest object of Kubernetes, managed fields included, has a quarter of it. */
export const MAX_DEPTH = 100

const text = v.pipe(v.string(), v.maxLength(512))
const optionalText = v.optional(text, '')

const Review = v.object({
  apiVersion: v.literal('admission.k8s.io/v1'),
  kind: v.literal('AdmissionReview'),
  request: v.object({
    uid: v.pipe(text, v.minLength(1)),
    kind: v.object({ group: text, version: text, kind: text }),
    subResource: optionalText,
    name: optionalText,
    namespace: optionalText,
    operation: v.picklist(['CREATE', 'UPDATE', 'DELETE', 'CONNECT']),
    userInfo: v.optional(v.object({ username: optionalText }), {}),
    dryRun: v.optional(v.nullable(v.boolean()), false),
    object: v.optional(v.unknown(), null),
    oldObject: v.optional(v.unknown(), null),
  }),
})

/** Reads the body of a review. What is nested too deeply is not even parsed. */
export function readReview(body: string): Result<AdmissionRequest> {
  if (exceedsDepth(body, MAX_DEPTH)) return fail(issue('not-json', '', `is nested more than ${MAX_DEPTH} deep`))
  let json: unknown
  try {
    json = JSON.parse(body)
  } catch {
    return fail(issue('not-json', '', 'is not JSON'))
  }
  const review = read(Review, json)
  if (!review.ok) return review
  const { userInfo, dryRun, ...request } = review.value.request
  return { ok: true, value: { ...request, user: userInfo.username, isDryRun: dryRun === true } }
}

/** The reply to a review, as JSON. */
export function reviewReply({ uid, kind, name }: AdmissionRequest, answer: AdmissionAnswer): string {
  const warnings = answer.warnings.slice(0, MAX_WARNINGS).map((found) => cut(describeIssue(found), MAX_WARNING))
  const response = {
    uid,
    allowed: answer.allowed,
    ...(warnings.length > 0 && { warnings }),
    ...(answer.allowed ? patchOf(answer.patch ?? []) : { status: refusalOf(kind.kind, name, answer.issues) }),
  }
  return JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response })
}

/** The API server shows no more than 4,096 characters of warnings, and cuts each at 256. */
const MAX_WARNINGS = 16
const MAX_WARNING = 256

/** Issues that a refusal spells out; the others are counted. */
const MAX_CAUSES = 8
const MAX_MESSAGE = 4_096

function patchOf(patch: readonly PatchStep[]) {
  if (patch.length === 0) return {}
  return { patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(patch)).toString('base64') }
}

/** `metav1.Status`: what kubectl prints, and what a controller puts into the events of its object. */
function refusalOf(kind: string, name: string, issues: readonly Issue[]) {
  const told = issues.slice(0, MAX_CAUSES)
  const more = issues.length > told.length ? `; and ${issues.length - told.length} more` : ''
  return {
    status: 'Failure',
    code: 403,
    reason: 'Forbidden',
    message: cut(told.map(asSentence).join('; ') + more, MAX_MESSAGE),
    details: {
      kind,
      ...(name !== '' && { name }),
      causes: told.map((found) => ({
        reason: 'FieldValueInvalid',
        field: found.path,
        message: cut(asSentence({ ...found, path: '' }), MAX_MESSAGE),
      })),
    },
  }
}

/** Whose resource it is the API server says itself. */
function asSentence({ resource: _resource, location: _location, ...found }: Issue): string {
  return describeIssue(found)
}

function cut(sentence: string, length: number): string {
  return sentence.length <= length ? sentence : `${sentence.slice(0, length - 1)}…`
}
