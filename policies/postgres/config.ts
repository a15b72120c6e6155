import * as v from 'valibot'

/** Rules at one place at most, over all policies. */
export const MAX_RULES = 1024

/** Bytes of a name in Postgres at most: NAMEDATALEN less the zero at its end. A longer one would be cut, and be another name. */
export const MAX_NAME_BYTES = 63

const text = v.pipe(v.string(), v.minLength(1), v.maxLength(2048))
const name = v.pipe(v.string(), v.minLength(1), v.maxLength(MAX_NAME_BYTES))

/** As whom a caller may connect, and to what. */
export const Rule = v.strictObject({
  name: text,
  /** The policy that it came from: `namespace/name@generation`. */
  origin: text,
  /** SPIFFE IDs. */
  callers: v.pipe(v.array(text), v.minLength(1), v.maxLength(256)),
  user: name,
  databases: v.pipe(v.array(name), v.minLength(1), v.maxLength(256)),
  /** What becomes of a client that names another user or database. */
  otherNames: v.picklist(['refuse', 'replace']),
})
export type Rule = v.InferOutput<typeof Rule>

const rules = v.pipe(v.array(Rule), v.maxLength(MAX_RULES))

export const PostgresConfig = v.strictObject({
  /** One of them lets a session in, and says as whom. */
  grants: rules,
  /** Of each floor, one must have let the same session in. */
  limits: v.pipe(v.array(rules), v.maxLength(64)),
})
export type PostgresConfig = v.InferOutput<typeof PostgresConfig>
