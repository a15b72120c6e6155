import * as v from 'valibot'

/** Rules of one kind at one place at most, over all policies. */
export const MAX_RULES = 2048

const text = v.pipe(v.string(), v.maxLength(2048))
const texts = v.pipe(v.array(text), v.minLength(1), v.maxLength(256))
const port = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65535))

/** Who calls. The fields add up (AND), the values of one are alternatives (OR). */
export const From = v.strictObject({
  /** `namespace/name`, of the mesh's own trust domain. */
  serviceAccounts: v.optional(texts),
  /** Of the mesh's own trust domain. */
  namespaces: v.optional(texts),
  spiffeIds: v.optional(texts),
  trustDomains: v.optional(texts),
  ipBlocks: v.optional(texts),
  /** Names of TokenIssuers. */
  issuers: v.optional(texts),
  /** Whom an API key says to call. Since 3. */
  clients: v.optional(texts),
  claims: v.optional(v.pipe(v.array(v.strictObject({ claim: text, values: texts })), v.minLength(1), v.maxLength(64))),
})
export type From = v.InferOutput<typeof From>

/** What is asked for. Fields and values as in {@link From}. */
export const To = v.strictObject({
  methods: v.optional(texts),
  hosts: v.optional(texts),
  paths: v.optional(texts),
  ports: v.optional(v.pipe(v.array(port), v.minLength(1), v.maxLength(256))),
  headers: v.optional(
    v.pipe(v.array(v.strictObject({ name: text, values: v.optional(texts) })), v.minLength(1), v.maxLength(64)),
  ),
})
export type To = v.InferOutput<typeof To>

export const Rule = v.strictObject({
  name: text,
  /** The policy that it came from: `namespace/name@generation`. */
  origin: text,
  from: v.optional(From),
  to: v.optional(To),
  /** CEL. */
  when: v.optional(text),
})
export type Rule = v.InferOutput<typeof Rule>

const rules = v.pipe(v.array(Rule), v.maxLength(MAX_RULES))

export const AuthorizationConfig = v.strictObject({
  /** The mesh's own: short names of service accounts and namespaces are of it. */
  trustDomain: text,
  /** Every one must hold, whatever the rules say. */
  onlyFrom: v.pipe(v.array(v.strictObject({ origin: text, from: From })), v.maxLength(64)),
  deny: rules,
  allow: rules,
  /** What becomes of a request that no rule speaks of; `no-policy` is a denial that says that nobody wrote one. */
  otherwise: v.picklist(['allow', 'deny', 'no-policy']),
})
export type AuthorizationConfig = v.InferOutput<typeof AuthorizationConfig>
