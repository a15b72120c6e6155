import { DURATION_PATTERN, parseDuration } from '../../model/duration.ts'
import { parseHeaderPattern } from '../../model/match/header.ts'
import { type Issue, issue, ok, under } from '../../model/result.ts'
import { defineSection, type JsonSchema } from '../../model/section.ts'
import { chooseOne } from '../single-valued.ts'
import type { ResponseConfig } from './config.ts'

/** `response` as a policy writes it. */
export interface ResponseSpec {
  readonly deniedStatus?: number
  readonly format?: keyof typeof FORMATS
  readonly hideExistence?: boolean
  readonly hsts?: {
    readonly maxAge: string
    readonly includeSubDomains?: boolean
    readonly preload?: boolean
  }
  readonly headers?: readonly { readonly name: string; readonly value: string }[]
}

const FORMATS = { ProblemJson: 'problem-json', Text: 'text', Empty: 'empty' } as const

const DENIED = 403
/** What browsers' preload lists ask for (hstspreload.org). */
const PRELOAD_MIN_MS = 365 * 24 * 3_600_000

/**
 * What `headers` cannot set: the framing and connection of the message, what has a section of its own, and what is the
 * application's alone because replacing every copy of it would break the response.
 */
const RESERVED = new Set([
  ...[
    'connection',
    'content-length',
    'keep-alive',
    'proxy-connection',
    'te',
    'trailer',
    'transfer-encoding',
    'upgrade',
  ],
  ...['content-encoding', 'content-range', 'content-type', 'date', 'location', 'set-cookie', 'vary'],
  ...['proxy-authenticate', 'www-authenticate', 'retry-after', 'ratelimit', 'ratelimit-policy'],
  ...['strict-transport-security'],
])

const SCHEMA: JsonSchema = {
  type: 'object',
  description:
    'response says how responses look: how refusals are told and which headers every response gets. Logs and metrics tell of refusals as they are. Default: refusals as application/problem+json with their own status, no headers.',
  minProperties: 1,
  properties: {
    deniedStatus: {
      type: 'integer',
      format: 'int32',
      description: 'deniedStatus is the status of refusals that would be 403. Default: 403.',
      minimum: 400,
      maximum: 499,
      default: DENIED,
    },
    format: {
      type: 'string',
      description:
        'format is the body of refusals: ProblemJson (RFC 9457), Text in one line, or Empty. Default: ProblemJson.',
      enum: Object.keys(FORMATS),
      default: 'ProblemJson',
    },
    hideExistence: {
      type: 'boolean',
      description:
        'hideExistence makes refusals with 401 and 403 look like the 404 of a path that nothing serves. Clients are no longer asked for a token then. Default: false.',
      default: false,
    },
    hsts: {
      type: 'object',
      description:
        'hsts sends Strict-Transport-Security (RFC 6797) over HTTPS, so that browsers never use plaintext for this host again. Default: not sent.',
      required: ['maxAge'],
      properties: {
        maxAge: {
          type: 'string',
          description: 'maxAge is how long a browser remembers it, such as 8760h. Required.',
          maxLength: 32,
          pattern: DURATION_PATTERN,
        },
        includeSubDomains: {
          type: 'boolean',
          description: 'includeSubDomains makes it hold for every host below this one. Default: false.',
          default: false,
        },
        preload: {
          type: 'boolean',
          description:
            'preload lets browsers ship with it; needs includeSubDomains and a maxAge of 8760h or more, and is hard to take back. Default: false.',
          default: false,
        },
      },
      'x-kubernetes-validations': [
        {
          rule: '!has(self.preload) || !self.preload || (has(self.includeSubDomains) && self.includeSubDomains)',
          message: 'preload needs includeSubDomains',
        },
      ],
    },
    headers: {
      type: 'array',
      description:
        'headers lists header fields that every response gets, in place of what the application sent, such as x-content-type-options. Default: none.',
      minItems: 1,
      maxItems: 32,
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
      items: {
        type: 'object',
        required: ['name', 'value'],
        properties: {
          name: {
            type: 'string',
            description: 'name is the name of the header field, in lower case. Required.',
            minLength: 1,
            maxLength: 256,
            pattern: "^[!#$%&'*+\\-.^_`|~0-9a-z]+$",
          },
          value: {
            type: 'string',
            description: 'value is the value of the header field. Required.',
            minLength: 1,
            maxLength: 4096,
          },
        },
      },
    },
  },
  'x-kubernetes-validations': [
    {
      rule: '!has(self.hideExistence) || !self.hideExistence || !has(self.deniedStatus) || self.deniedStatus == 403',
      message: 'hideExistence answers 404; leave deniedStatus out',
    },
  ],
}

/** Single-valued: floor before policies before defaults, the most specific of them. */
export const responseSection = defineSection<ResponseSpec, ResponseConfig, ResponseConfig>({
  filter: 'response',
  name: 'response',
  schema: { response: SCHEMA },
  pick: (spec) => spec['response'] as ResponseSpec | undefined,
  review,
  combine(levels) {
    const chosen = chooseOne(levels)
    if (chosen === undefined) return undefined
    const { winner, ...told } = chosen
    return { value: configOf(winner.spec), origins: [winner.origin], ...told }
  },
  translate: (config) => ok(config),
})

function configOf({ deniedStatus, format, hideExistence, hsts, headers = [] }: ResponseSpec): ResponseConfig {
  return {
    deniedStatus: deniedStatus ?? DENIED,
    format: FORMATS[format ?? 'ProblemJson'],
    hidesExistence: hideExistence ?? false,
    ...(hsts !== undefined && { hsts: hstsValue(hsts) }),
    headers: headers.map(({ name, value }) => [name, value]),
  }
}

function hstsValue({ maxAge, includeSubDomains, preload }: NonNullable<ResponseSpec['hsts']>): string {
  const parsed = parseDuration(maxAge)
  const seconds = parsed.ok ? Math.floor(parsed.value / 1_000) : 0
  return `max-age=${seconds}${includeSubDomains ? '; includeSubDomains' : ''}${preload ? '; preload' : ''}`
}

function review({ deniedStatus, hideExistence, hsts, headers = [] }: ResponseSpec): readonly Issue[] {
  const issues: Issue[] = []
  if (hideExistence && deniedStatus !== undefined && deniedStatus !== DENIED) {
    issues.push(
      issue(
        'hidden-status',
        'response.deniedStatus',
        'has no effect beside hideExistence, which answers 404',
        'leave it out',
      ),
    )
  }
  if (hsts !== undefined) issues.push(...hstsIssues(hsts).map((found) => under('response.hsts', found)))
  for (const [i, { name, value }] of headers.entries()) {
    const path = `response.headers[${i}]`
    if (RESERVED.has(name)) {
      const fix = name === 'strict-transport-security' ? 'use response.hsts' : 'leave it to the application'
      issues.push(issue('reserved-header', `${path}.name`, `is ${name}, which a policy cannot set`, fix))
      continue
    }
    const parsed = parseHeaderPattern(name, [value])
    if (parsed.ok) continue
    issues.push(
      ...parsed.issues.map((found) => under(path, { ...found, path: found.path === 'name' ? 'name' : 'value' })),
    )
  }
  return issues
}

function hstsIssues({ maxAge, includeSubDomains, preload }: NonNullable<ResponseSpec['hsts']>): readonly Issue[] {
  const parsed = parseDuration(maxAge)
  if (!parsed.ok) return parsed.issues.map((found) => under('maxAge', found))
  if (preload && (includeSubDomains !== true || parsed.value < PRELOAD_MIN_MS)) {
    return [
      issue('preload', 'preload', 'needs includeSubDomains and a maxAge of a year', 'write maxAge: 8760h or more'),
    ]
  }
  return []
}
