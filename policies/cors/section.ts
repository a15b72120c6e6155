import { DURATION_PATTERN, parseDuration } from '../../model/duration.ts'
import { type Issue, issue, ok, under } from '../../model/result.ts'
import { defineSection, type JsonSchema } from '../../model/section.ts'
import { chooseOne } from '../single-valued.ts'
import type { CorsConfig } from './config.ts'
import { parseOriginPattern } from './origin-pattern.ts'

/** `cors` as a policy writes it. */
export interface CorsSpec {
  readonly allowOrigins: readonly string[]
  readonly allowMethods?: readonly string[]
  readonly allowHeaders?: readonly string[]
  readonly exposeHeaders?: readonly string[]
  readonly allowCredentials?: boolean
  readonly maxAge?: string
}

/** The methods that a page may use without asking (Fetch, 2.2.1). */
const SAFE_METHODS = ['GET', 'HEAD', 'POST']
const MAX_AGE_MS = 86_400_000
const FIELD_NAME = "^([*]|[!#$%&'*+\\-.^_`|~0-9A-Za-z]+)$"

function names(description: string, pattern: string, more: JsonSchema = {}): JsonSchema {
  return {
    type: 'array',
    description,
    maxItems: 64,
    'x-kubernetes-list-type': 'set',
    items: { type: 'string', minLength: 1, maxLength: 256, pattern },
    ...more,
  }
}

const SCHEMA: JsonSchema = {
  type: 'object',
  description:
    'cors says which pages of other origins may call from a browser and read the answer. Default: none, and preflights go on to the application.',
  required: ['allowOrigins'],
  properties: {
    allowOrigins: {
      type: 'array',
      description:
        'allowOrigins lists origins such as https://shop.example; https://*.shop.example is one label or more before .shop.example, * every origin. Required.',
      minItems: 1,
      maxItems: 64,
      'x-kubernetes-list-type': 'set',
      items: {
        type: 'string',
        minLength: 1,
        maxLength: 300,
        pattern: '^([*]|[a-z][a-z0-9+.-]*://[^/?#]+)$',
      },
    },
    allowMethods: names(
      'allowMethods lists the methods that pages may use; * is every method. Default: GET, HEAD, POST.',
      '^([*]|[A-Z]+(-[A-Z]+)*)$',
      { default: SAFE_METHODS },
    ),
    allowHeaders: names(
      'allowHeaders lists the request headers that pages may set; * is every header but Authorization, which has to be named. Default: those that browsers let every page set.',
      FIELD_NAME,
    ),
    exposeHeaders: names(
      'exposeHeaders lists the response headers that pages may read. Default: those that browsers show every page.',
      FIELD_NAME,
    ),
    allowCredentials: {
      type: 'boolean',
      description:
        'allowCredentials says whether browsers may send cookies and let the page read the answer. Not with the origin *. Default: false.',
      default: false,
    },
    maxAge: {
      type: 'string',
      description: 'maxAge is how long a browser may remember the answer to a preflight, at most 24h. Default: 5s.',
      maxLength: 32,
      pattern: DURATION_PATTERN,
      default: '5s',
    },
  },
  'x-kubernetes-validations': [
    {
      rule: "!has(self.allowCredentials) || !self.allowCredentials || !self.allowOrigins.exists(o, o == '*')",
      message: 'allowCredentials needs origins that are named: any page of the web could act as the user',
    },
  ],
}

/** Single-valued: floor before policies before defaults, the most specific of them. */
export const corsSection = defineSection<CorsSpec, CorsConfig, CorsConfig>({
  filter: 'cors',
  name: 'cors',
  schema: { cors: SCHEMA },
  pick: (spec) => spec['cors'] as CorsSpec | undefined,
  review,
  combine(levels) {
    const chosen = chooseOne(levels)
    if (chosen === undefined) return undefined
    const { winner, ...told } = chosen
    return { value: configOf(winner.spec), origins: [winner.origin], ...told }
  },
  translate: (config) => ok(config),
})

function configOf(spec: CorsSpec): CorsConfig {
  const maxAge = parseDuration(spec.maxAge ?? '5s')
  return {
    allowOrigins: [...spec.allowOrigins],
    allowMethods: [...(spec.allowMethods ?? SAFE_METHODS)],
    allowHeaders: (spec.allowHeaders ?? []).map((name) => name.toLowerCase()),
    exposeHeaders: [...(spec.exposeHeaders ?? [])],
    allowCredentials: spec.allowCredentials ?? false,
    maxAgeSeconds: maxAge.ok ? Math.floor(maxAge.value / 1_000) : 0,
  }
}

function review({ allowOrigins, allowCredentials, maxAge }: CorsSpec): readonly Issue[] {
  const issues: Issue[] = []
  for (const [i, origin] of allowOrigins.entries()) {
    const parsed = parseOriginPattern(origin)
    if (!parsed.ok) issues.push(...parsed.issues.map((found) => under(`cors.allowOrigins[${i}]`, found)))
  }
  if (allowCredentials === true && allowOrigins.includes('*')) {
    issues.push(
      issue('credentials-for-everybody', 'cors.allowCredentials', 'is true for every origin', 'name the origins'),
    )
  }
  if (maxAge !== undefined) {
    const parsed = parseDuration(maxAge)
    if (!parsed.ok) issues.push(...parsed.issues.map((found) => under('cors.maxAge', found)))
    else if (parsed.value > MAX_AGE_MS) {
      issues.push(issue('too-long', 'cors.maxAge', 'is longer than 24h', 'write 24h or less'))
    }
  }
  return issues
}
