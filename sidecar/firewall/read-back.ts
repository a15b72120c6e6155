import * as v from 'valibot'
import { PORTS } from '../../contract/pod.ts'
import { DESTINATION_NAT } from './ruleset.ts'

/** What is read of `nft -j list table`: base chains, and the rules with the one expression that ends them. */
const Listing = v.object({
  nftables: v.array(
    v.object({
      chain: v.optional(
        v.object({
          name: v.string(),
          type: v.optional(v.string()),
          hook: v.optional(v.string()),
          prio: v.optional(v.number()),
        }),
      ),
      rule: v.optional(v.object({ chain: v.string(), expr: v.array(v.record(v.string(), v.unknown())) })),
    }),
  ),
})

const WANTED = [
  {
    name: 'inbound',
    type: 'nat',
    hook: 'prerouting',
    prio: DESTINATION_NAT,
    ends: { redirect: { port: PORTS.inbound } },
  },
  {
    name: 'outbound',
    type: 'nat',
    hook: 'output',
    prio: DESTINATION_NAT,
    ends: { redirect: { port: PORTS.outbound } },
  },
  { name: 'guard', type: 'filter', hook: 'output', prio: 0, ends: { reject: { type: 'tcp reset' } } },
] as const

/**
 * What is missing in the table as the kernel has it, a sentence each. Nothing within a pod can send it something from
 * outside, so of the inbound half this is the proof.
 */
export function missingIn(listing: unknown): readonly string[] {
  const parsed = v.safeParse(Listing, listing)
  if (!parsed.success) return ['the table is not listed as it should be']
  const { nftables } = parsed.output
  return WANTED.flatMap(({ name, type, hook, prio, ends }) => {
    const chain = nftables.find((entry) => entry.chain?.name === name)?.chain
    if (chain === undefined) return [`the chain ${name} is not there`]
    if (chain.type !== type || chain.hook !== hook || chain.prio !== prio)
      return [`the chain ${name} is at another place`]
    const rules = nftables.flatMap(({ rule }) => (rule?.chain === name ? [rule] : []))
    const last = rules.at(-1)?.expr.at(-1)
    return JSON.stringify(last) === JSON.stringify(ends) ? [] : [`the chain ${name} does not end as it should`]
  })
}
