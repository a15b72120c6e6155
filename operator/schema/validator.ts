import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import addFormatsModule from 'ajv-formats'
import { closest, distance } from 'fastest-levenshtein'
import type { Resource } from '../../model/resource.ts'
import { type Issue, issue } from '../../model/result.ts'
import type { JsonSchema, Section } from '../../model/section.ts'
import { checkCelRules } from '../resources/cel-rules.ts'
import { formatPath } from '../resources/issue-path.ts'
import { KINDS, type KindDefinition } from '../resources/kinds.ts'

/** An issue and where in the document it is, as keys and indices from the root. */
export interface SchemaIssue {
  readonly issue: Issue
  readonly path: readonly (string | number)[]
  /** True when the place is the name of the last key, not its value (an unknown field). */
  readonly atKey: boolean
}

export type Validation =
  | { readonly kind: 'valid'; readonly resource: Resource }
  /** Of a kind that the operator has nothing to do with. */
  | { readonly kind: 'ignored' }
  | { readonly kind: 'invalid'; readonly issues: readonly SchemaIssue[] }

/** The namespace of a namespaced resource that names none, as kubectl has it. */
export const DEFAULT_NAMESPACE = 'default'

/** Issues of one document at most. */
const MAX_ISSUES = 32

/**
 * Judges resources as the API server would: by the schemas of our CustomResourceDefinitions with their CEL rules, with
 * defaults applied and unknown fields refused; for kinds of others, by the part that we read. The value handed in is
 * changed: defaults are put into it.
 */
export function createValidator(sections: readonly Section[]): (document: unknown) => Validation {
  const ajv = new Ajv({ allErrors: true, useDefaults: true, strict: false, verbose: true, $data: false })
  // ajv-formats is CommonJS; its types say otherwise.
  ;(addFormatsModule as unknown as (ajv: Ajv) => void)(ajv)
  const validators = new Map<KindDefinition, { validate: ValidateFunction; schema: JsonSchema }>()
  const validatorOf = (definition: KindDefinition) => {
    const known = validators.get(definition)
    if (known !== undefined) return known
    const schema = documentSchema(definition, sections)
    const made = { validate: ajv.compile(forAjv(schema, definition.specSchema !== undefined)), schema }
    validators.set(definition, made)
    return made
  }

  return (document) => {
    if (typeof document !== 'object' || document === null || Array.isArray(document)) {
      return invalid([], 'not-a-resource', 'is not a Kubernetes resource', 'begin with apiVersion and kind')
    }
    const { apiVersion, kind } = document as Partial<Resource>
    if (typeof apiVersion !== 'string') return invalid(['apiVersion'], 'required', 'is required')
    if (typeof kind !== 'string') return invalid(['kind'], 'required', 'is required')
    const definition = KINDS.find((known) => known.kind === kind && known.apiVersions.includes(apiVersion))
    if (definition === undefined) return unknownKind(apiVersion, kind)
    const { validate, schema } = validatorOf(definition)
    if (!validate(document)) {
      const issues = (validate.errors ?? []).flatMap(asIssue).slice(0, MAX_ISSUES)
      return { kind: 'invalid', issues }
    }
    const broken = checkCelRules(schema, document)
    if (broken.length > 0) {
      const issues = broken.slice(0, MAX_ISSUES).map(({ path, issue: found }) => ({
        issue: { ...found, path: formatPath(path) },
        path,
        atKey: false,
      }))
      return { kind: 'invalid', issues }
    }
    const resource = document as Resource
    if (!definition.namespaced || resource.metadata.namespace !== undefined) return { kind: 'valid', resource }
    return {
      kind: 'valid',
      resource: { ...resource, metadata: { ...resource.metadata, namespace: DEFAULT_NAMESPACE } },
    }
  }
}

function invalid(path: readonly string[], code: string, message: string, fix?: string): Validation {
  return { kind: 'invalid', issues: [{ issue: issue(code, formatPath(path), message, fix), path, atKey: false }] }
}

/** Kinds of ours must be known, or a policy with a typing mistake in its kind would be no policy at all. */
function unknownKind(apiVersion: string, kind: string): Validation {
  const [group, version] = apiVersion.split('/')
  if (group !== 'hauberk.dev') return { kind: 'ignored' }
  const ours = KINDS.filter(({ specSchema }) => specSchema !== undefined)
  const named = ours.find((known) => known.kind === kind)
  if (named !== undefined) {
    return invalid(['apiVersion'], 'unknown-version', `has no version ${version}`, `write ${named.apiVersions[0]}`)
  }
  return invalid(
    ['kind'],
    'unknown-kind',
    `${kind} is no kind of ${group}`,
    suggestion(
      kind,
      ours.map((one) => one.kind),
    ),
  )
}

const NAME = {
  type: 'string',
  maxLength: 253,
  pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$',
}
const STRING_MAP = { type: 'object', additionalProperties: { type: 'string' } }

function documentSchema(
  { specSchema, partialSchema, namespaced }: KindDefinition,
  sections: readonly Section[],
): JsonSchema {
  const metadata = {
    type: 'object',
    required: ['name'],
    'x-kubernetes-preserve-unknown-fields': true,
    properties: {
      name: NAME,
      ...(namespaced && { namespace: { type: 'string', maxLength: 63, pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$' } }),
      labels: STRING_MAP,
      annotations: STRING_MAP,
    },
  }
  const envelope = { apiVersion: { type: 'string' }, kind: { type: 'string' }, metadata }
  if (specSchema !== undefined) {
    return {
      type: 'object',
      required: ['metadata', 'spec'],
      properties: { ...envelope, spec: specSchema(sections), status: { 'x-kubernetes-preserve-unknown-fields': true } },
    }
  }
  const partial = (partialSchema?.['properties'] ?? {}) as Record<string, unknown>
  const required = (partialSchema?.['required'] ?? []) as readonly string[]
  return {
    type: 'object',
    required: [...new Set(['metadata', ...required])],
    'x-kubernetes-preserve-unknown-fields': true,
    properties: { ...partial, ...envelope },
  }
}

/** A structural schema as ajv takes it: unknown fields refused where the CRD would prune them, Kubernetes' own keywords put in JSON Schema's words. */
function forAjv(schema: JsonSchema, closed: boolean): JsonSchema {
  const out: Record<string, unknown> = {}
  for (const [keyword, value] of Object.entries(schema)) {
    if (keyword.startsWith('x-kubernetes-') || keyword === 'description') continue
    if (keyword === 'properties') {
      out[keyword] = Object.fromEntries(
        Object.entries(value as Record<string, JsonSchema>).map(([name, inner]) => [name, forAjv(inner, closed)]),
      )
    } else if (['items', 'additionalProperties', 'not'].includes(keyword) && typeof value === 'object') {
      out[keyword] = forAjv(value as JsonSchema, closed)
    } else if (['allOf', 'anyOf', 'oneOf'].includes(keyword)) {
      out[keyword] = (value as JsonSchema[]).map((inner) => forAjv(inner, false))
    } else out[keyword] = value
  }
  if (schema['x-kubernetes-int-or-string'] === true) {
    out['type'] = ['integer', 'string']
    delete out['anyOf']
  }
  const open = schema['x-kubernetes-preserve-unknown-fields'] === true || 'additionalProperties' in schema
  if (closed && schema['type'] === 'object' && 'properties' in schema && !open) out['additionalProperties'] = false
  return out
}

function asIssue(error: ErrorObject): SchemaIssue[] {
  const path = segmentsOf(error.instancePath, error)
  const at = (more: readonly string[], code: string, message: string, fix?: string, atKey = false): SchemaIssue[] => {
    const full = [...path, ...more]
    return [{ issue: issue(code, formatPath(full), message, fix), path: full, atKey }]
  }
  const params = error.params as Readonly<Record<string, unknown>>
  switch (error.keyword) {
    case 'additionalProperties': {
      const name = String(params['additionalProperty'])
      const known = Object.keys((error.parentSchema?.['properties'] ?? {}) as object)
      return at([name], 'unknown-field', 'is not a field', suggestion(name, known), true)
    }
    case 'required':
      return at([String(params['missingProperty'])], 'required', 'is required')
    case 'enum': {
      const allowed = (params['allowedValues'] as readonly unknown[]).map(String)
      const given = String(error.data)
      return at(
        [],
        'enum',
        `${JSON.stringify(error.data)} is none of ${allowed.join(', ')}`,
        suggestion(given, allowed),
      )
    }
    case 'type':
      return at([], 'type', `is ${typeOf(error.data)}, not ${[params['type']].flat().join(' or ')}`)
    case 'pattern':
      return at([], 'pattern', `${JSON.stringify(error.data)} does not match ${params['pattern']}`)
    // What the branches said is told by their own errors.
    case 'if':
      return []
    default:
      return at([], error.keyword, error.message ?? 'is not valid')
  }
}

function typeOf(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'array' : typeof value
}

/** `did you mean X?` where one is near, else what there is. */
export function suggestion(given: string, known: readonly string[]): string | undefined {
  if (known.length === 0) return undefined
  const nearest = closest(
    given.toLowerCase(),
    known.map((name) => name.toLowerCase()),
  )
  const name = known.find((one) => one.toLowerCase() === nearest) ?? ''
  if (distance(given.toLowerCase(), nearest) <= Math.max(2, Math.floor(given.length / 3)))
    return `did you mean ${name}?`
  return known.length <= 12 ? `one of ${known.join(', ')}` : undefined
}

/** JSON Pointer (RFC 6901) to keys and indices; an index is one where the value there is an array. */
function segmentsOf(pointer: string, _error: ErrorObject): (string | number)[] {
  return pointer
    .split('/')
    .slice(1)
    .map((segment) => segment.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((segment) => (/^\d+$/.test(segment) ? Number(segment) : segment))
}
