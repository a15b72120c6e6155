import type { Denial } from '../../model/verdict.ts'

/** A deny rule, or `onlyFrom` of a floor, speaks of this request. */
export const DENIED_BY_RULE: Denial = {
  name: 'denied-by-rule',
  status: 403,
  title: 'A rule of this service forbids the request.',
}

/** There are policies, and no allow rule speaks of this request. */
export const NOT_ALLOWED: Denial = {
  name: 'not-allowed',
  status: 403,
  title: 'No rule of this service allows the request.',
}

/** No policy says who may call this workload, and the mesh's default is Deny. */
export const NO_POLICY: Denial = {
  name: 'no-policy',
  status: 403,
  title: 'No policy of this service says who may call it.',
}
