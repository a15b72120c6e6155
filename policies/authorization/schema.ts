import { MAX_PATH_PATTERN_LENGTH } from '../../model/match/path.ts'
import type { JsonSchema } from '../../model/section.ts'
import { MAX_WHEN_LENGTH } from './when-expression.ts'

const LABEL = '[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?'
const SUBDOMAIN = '[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*'

function strings(description: string, item: JsonSchema, maxItems = 64): JsonSchema {
  return {
    type: 'array',
    description,
    minItems: 1,
    maxItems,
    items: { type: 'string', minLength: 1, ...item },
    'x-kubernetes-list-type': 'set',
  }
}

const identityFields = {
  serviceAccounts: strings(
    'serviceAccounts lists Kubernetes service accounts as namespace/name, or as name for the namespace of the policy (in a MeshSecurityPolicy: of the workload). Only those of this mesh match, by the SPIFFE ID of their verified certificate. Default: any caller.',
    { maxLength: 317, pattern: `^(${LABEL}/)?${SUBDOMAIN}$` },
  ),
  namespaces: strings(
    'namespaces lists Kubernetes namespaces of this mesh; every service account of one matches. Default: any caller.',
    { maxLength: 63, pattern: `^${LABEL}$` },
  ),
  spiffeIds: strings(
    'spiffeIds lists SPIFFE IDs, of this mesh or of a federated one, compared to the letter. Default: any caller.',
    { maxLength: 2048, pattern: '^spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)*$' },
    32,
  ),
  trustDomains: strings('trustDomains lists SPIFFE trust domains; every ID of one matches. Default: any caller.', {
    maxLength: 255,
    pattern: '^[a-z0-9._-]+$',
  }),
  ipBlocks: strings(
    "ipBlocks lists blocks of IP addresses such as 10.0.0.0/8 or 2001:db8::/32, held against the client's address after the trusted hops of X-Forwarded-For. Default: any address.",
    { maxLength: 49, pattern: '^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$' },
  ),
} satisfies Record<string, JsonSchema>

const from: JsonSchema = {
  type: 'object',
  description:
    'from says who calls. Its fields must all match, and of each field one value. Default: any caller, authenticated or not.',
  minProperties: 1,
  properties: {
    ...identityFields,
    issuers: strings(
      'issuers lists TokenIssuers; a verified token of one of them matches. Does not match without a token. Default: any token or none.',
      { maxLength: 253, pattern: `^${SUBDOMAIN}$` },
      16,
    ),
    clients: strings(
      'clients lists clients that API keys were made for (authentication.apiKeys); a good key of one of them matches. Does not match without a key. Default: any client or none.',
      { maxLength: 63, pattern: '^[a-z0-9]([-a-z0-9._]*[a-z0-9])?$' },
    ),
    claims: {
      type: 'array',
      description:
        'claims lists claims that the verified token must have, all of them. Does not match without a token. Default: none.',
      minItems: 1,
      maxItems: 16,
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['claim'],
      items: {
        type: 'object',
        required: ['claim', 'values'],
        properties: {
          claim: {
            type: 'string',
            description: 'claim is a JSON Pointer (RFC 6901) into the claims, such as /org/dept. Required.',
            minLength: 2,
            maxLength: 256,
            pattern: '^(/([^~/]|~[01])*)+$',
          },
          values: strings(
            'values lists what the claim may be. A claim that is a list matches when one of its members does; a scope is the list of its words (RFC 6749, 3.3); true, false and whole numbers are compared as JSON writes them. Required.',
            { maxLength: 256 },
          ),
        },
      },
    },
  },
}

const to: JsonSchema = {
  type: 'object',
  description:
    'to says what is asked for. Its fields must all match, and of each field one value. Default: any request.',
  minProperties: 1,
  properties: {
    methods: strings(
      'methods lists HTTP methods. In a deny rule GET covers HEAD. Default: any method.',
      { maxLength: 32, pattern: '^[A-Z]+(-[A-Z]+)*$' },
      16,
    ),
    hosts: strings(
      'hosts lists host names; *.shop.example matches one label or more before .shop.example. Default: any host.',
      { maxLength: 253, pattern: `^([*][.])?${SUBDOMAIN}$` },
      32,
    ),
    paths: strings(
      'paths lists path patterns: /healthz is that path; {userId} is one segment and gives path.userId to when; {*} is one segment without a name; {**} at the end is whatever follows, nothing included. A deny rule also covers other spellings that applications take for the same path: another case, a trailing slash, segment parameters, percent-encoding. Default: any path.',
      { maxLength: MAX_PATH_PATTERN_LENGTH, pattern: '^/' },
    ),
    ports: {
      type: 'array',
      description: 'ports lists ports of the workload, as its Service or Gateway names them. Default: any port.',
      minItems: 1,
      maxItems: 32,
      'x-kubernetes-list-type': 'set',
      items: { type: 'integer', format: 'int32', minimum: 1, maximum: 65535 },
    },
    headers: {
      type: 'array',
      description: 'headers lists header fields that the request must have, all of them. Default: none.',
      minItems: 1,
      maxItems: 16,
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
      items: {
        type: 'object',
        required: ['name'],
        properties: {
          name: {
            type: 'string',
            description: 'name is the name of the header field, in lower case. Required.',
            minLength: 1,
            maxLength: 256,
            pattern: "^[!#$%&'*+\\-.^_`|~0-9a-z]+$",
          },
          values: strings(
            'values lists what the field may be, to the letter. An allow rule wants every copy of the field to be one of them, a deny rule looks for one of them in any copy. Default: any value.',
            { maxLength: 1024 },
          ),
        },
      },
    },
  },
}

function rules(description: string): JsonSchema {
  return {
    type: 'array',
    description,
    maxItems: 64,
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['name'],
    items: {
      type: 'object',
      required: ['name'],
      properties: {
        name: {
          type: 'string',
          description:
            'name names the rule in logs, metrics and explanations; no other rule of the policy has it. Required.',
          minLength: 1,
          maxLength: 63,
          pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
        },
        from,
        to,
        when: {
          type: 'string',
          description:
            'when is a condition in CEL over claims, path, request and source, such as claims.sub == path.userId. If it cannot be evaluated an allow rule does not match and a deny rule does. Default: none.',
          minLength: 1,
          maxLength: MAX_WHEN_LENGTH,
        },
      },
    },
  }
}

/** `authorization` of a policy. */
export const AUTHORIZATION_SCHEMA: JsonSchema = {
  type: 'object',
  description:
    'authorization says who may do what. All deny rules of all policies apply, allow rules add up, deny beats allow, and order does not matter. Default: what MeshConfig says of workloads without a policy, which is Deny.',
  minProperties: 1,
  properties: {
    default: {
      type: 'string',
      description:
        'default says what becomes of a request that no rule matches. If policies differ, Deny counts. Default: Deny as soon as there is an allow list, even an empty one; otherwise authorization.default of MeshConfig.',
      enum: ['Deny', 'Allow'],
    },
    deny: rules('deny lists rules of which each refuses the requests that it matches with 403. Default: none.'),
    allow: rules(
      'allow lists rules of which each lets the requests pass that it matches, unless a deny rule matches too. An empty list allows nothing. Default: no list.',
    ),
  },
  'x-kubernetes-validations': [
    {
      rule: '!has(self.deny) || !has(self.allow) || self.deny.all(d, !self.allow.exists(a, a.name == d.name))',
      message: 'a deny rule and an allow rule have the same name',
    },
  ],
}

/** What a floor can say besides. */
export const AUTHORIZATION_FLOOR_SCHEMA: JsonSchema = {
  type: 'object',
  properties: {
    onlyFrom: {
      type: 'object',
      description:
        'onlyFrom says who may call at all, whatever other rules allow: its fields must all match, and of each field one value; anybody else gets 403. Default: everybody.',
      minProperties: 1,
      properties: identityFields,
    },
  },
}
