import { formatOrigin } from '../../model/origin.ts'
import { fail, type Issue, issue, ok, under } from '../../model/result.ts'
import type { SectionContext } from '../../model/section.ts'
import { type Attached, type Combined, defineSection, type JsonSchema, type Levels } from '../../model/section.ts'
import { parseSpiffeId, parseTrustDomain, spiffeIdFor } from '../../model/spiffe-id.ts'
import { MAX_NAME_BYTES, type PostgresConfig, type Rule } from './config.ts'

/** `postgres` as a policy writes it. */
export interface PostgresSpec {
  readonly users: readonly UserSpec[]
}

export interface UserSpec {
  readonly name: string
  /** Exactly one of these. */
  readonly from: { readonly serviceAccounts?: readonly string[]; readonly spiffeIds?: readonly string[] }
  readonly user: string
  readonly databases: readonly string[]
  readonly otherNames?: 'Refuse' | 'Replace'
}

/** What the config is made of, before names are made identities. */
export interface PostgresValue {
  readonly grants: readonly Attached<PostgresSpec>[]
  readonly limits: readonly Attached<PostgresSpec>[]
}

const LABEL = '[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?'
const SUBDOMAIN = '[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*'

/** What a name in Postgres may not have, this mesh does not pass: a zero ends the name, and what is no character is no name. */
const NAME_PATTERN = '^[^\\x00-\\x1f\\x7f]+$'

const USER: JsonSchema = {
  type: 'object',
  required: ['name', 'from', 'user', 'databases'],
  properties: {
    name: {
      type: 'string',
      description:
        'name names the rule in logs, metrics and explanations; no other rule of the policy has it. Required.',
      minLength: 1,
      maxLength: 63,
      pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
    },
    from: {
      type: 'object',
      description:
        'from says whose connections this is about, by the SPIFFE ID of their verified certificate. Required.',
      minProperties: 1,
      maxProperties: 1,
      properties: {
        serviceAccounts: {
          type: 'array',
          description:
            'serviceAccounts lists Kubernetes service accounts of this mesh as namespace/name, or as name for the namespace of the policy (in a MeshSecurityPolicy: of the workload). Default: none.',
          minItems: 1,
          maxItems: 64,
          'x-kubernetes-list-type': 'set',
          items: { type: 'string', minLength: 1, maxLength: 317, pattern: `^(${LABEL}/)?${SUBDOMAIN}$` },
        },
        spiffeIds: {
          type: 'array',
          description:
            'spiffeIds lists SPIFFE IDs, of this mesh or of a federated one, compared to the letter. Default: none.',
          minItems: 1,
          maxItems: 32,
          'x-kubernetes-list-type': 'set',
          items: {
            type: 'string',
            minLength: 1,
            maxLength: 2048,
            pattern: '^spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)*$',
          },
        },
      },
    },
    user: {
      type: 'string',
      description: 'user is who they are in the database: a role of it that may log in. Required.',
      minLength: 1,
      maxLength: MAX_NAME_BYTES,
      pattern: NAME_PATTERN,
    },
    databases: {
      type: 'array',
      description: 'databases lists the databases that they may connect to, the usual one first. Required.',
      minItems: 1,
      maxItems: 64,
      'x-kubernetes-list-type': 'atomic',
      items: { type: 'string', minLength: 1, maxLength: MAX_NAME_BYTES, pattern: NAME_PATTERN },
    },
    otherNames: {
      type: 'string',
      description:
        'otherNames says what becomes of a client that asks for another user or database than this rule has. Refuse lets it not connect; Replace connects it as user, and to the first of databases where the one it asks for is not listed. Default: Refuse.',
      enum: ['Refuse', 'Replace'],
    },
  },
}

const SCHEMA: JsonSchema = {
  type: 'object',
  description:
    'postgres says that the TCP ports of the target speak Postgres, and which user of the database each caller is: the sidecar reads how a connection begins, and lets nobody in as anybody else. Replication is refused. A floor and defaults count at ports that are said to speak Postgres (appProtocol, the name of the port, or 5432). Default: what is said to the database is not read.',
  required: ['users'],
  properties: {
    users: {
      type: 'array',
      description:
        'users lists who is who. The rules of all policies add up; a floor has to have a rule that lets the same session in. Required.',
      minItems: 1,
      maxItems: 64,
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
      items: USER,
    },
  },
}

/**
 * Rules of policies add up, and those of defaults count where no policy has any. Where a floor speaks, it must let the same
 * session in; where it speaks alone, its rules are the ones that let sessions in.
 */
export const postgresSection = defineSection<PostgresSpec, PostgresValue, PostgresConfig>({
  filter: 'postgres',
  name: 'postgres',
  schema: { postgres: SCHEMA },
  pick: (spec) => spec['postgres'] as PostgresSpec | undefined,
  review,
  combine,
  translate({ grants, limits }, context) {
    if (context.role === 'gateway') {
      return fail(
        issue(
          'no-database-at-gateway',
          'postgres',
          'says who the callers are, and the clients of a Gateway are outside the mesh',
          'target the Service of the database',
        ),
      )
    }
    return ok({
      grants: grants.flatMap((policy) => rulesOf(policy, context)),
      limits: limits.map((policy) => rulesOf(policy, context)),
    })
  },
})

function review({ users }: PostgresSpec): readonly Issue[] {
  const names = new Set<string>()
  return users.flatMap(({ name, from, user, databases }, i) => {
    const path = `postgres.users[${i}]`
    const isSecond = names.has(name)
    names.add(name)
    return [
      ...(isSecond ? [issue('duplicate-rule', `${path}.name`, `is ${name} again`, 'give each rule its own name')] : []),
      ...(from.spiffeIds ?? []).flatMap((id, j) => {
        const parsed = parseSpiffeId(id)
        return parsed.ok ? [] : parsed.issues.map((found) => under(`${path}.from.spiffeIds[${j}]`, found))
      }),
      ...tooLong(user, `${path}.user`),
      ...databases.flatMap((database, j) => tooLong(database, `${path}.databases[${j}]`)),
    ]
  })
}

function tooLong(name: string, path: string): readonly Issue[] {
  const { length } = new TextEncoder().encode(name)
  if (length <= MAX_NAME_BYTES) return []
  const message = `has ${length} bytes, and Postgres cuts names to ${MAX_NAME_BYTES}: it would be another name`
  return [issue('database-name-too-long', path, message)]
}

function combine(
  { floor, policies, defaults }: Levels<PostgresSpec>,
  { database }: SectionContext,
): Combined<PostgresValue> | undefined {
  const isPostgres = database === 'postgres'
  const limits = isPostgres ? floor : []
  const own = policies.length > 0 ? policies : isPostgres ? defaults : []
  const grants = own.length > 0 ? own : limits
  if (grants.length === 0) return undefined
  return { value: { grants, limits }, origins: [...new Set([...limits, ...grants])].map(({ origin }) => origin) }
}

function rulesOf({ spec, origin }: Attached<PostgresSpec>, context: SectionContext): Rule[] {
  return spec.users.map(({ name, from, user, databases, otherNames = 'Refuse' }) => ({
    name,
    origin: formatOrigin(origin),
    callers: [
      ...(from.serviceAccounts ?? []).map((account) => idOf(account, origin.namespace ?? context.namespace, context)),
      ...(from.spiffeIds ?? []),
    ],
    user,
    databases: [...databases],
    otherNames: otherNames === 'Replace' ? 'replace' : 'refuse',
  }))
}

function idOf(account: string, ownNamespace: string, { trustDomain }: SectionContext): string {
  const [first = '', second] = account.split('/')
  const [namespace, name] = second === undefined ? [ownNamespace, first] : [first, second]
  const domain = parseTrustDomain(trustDomain)
  const id = domain.ok ? spiffeIdFor(domain.value, namespace, name) : domain
  if (!id.ok) throw new Error(`${account} is no service account: ${id.issues[0]?.message}`)
  return id.value
}
