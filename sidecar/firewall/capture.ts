import { PORTS } from '../../contract/pod.ts'
import { applyRuleset, FirewallError, type FirewallFailure, readTable } from './nft.ts'
import { missingIn } from './read-back.ts'
import { captureRuleset, TABLE } from './ruleset.ts'
import { type VerifyOptions, verifyCapture } from './verify.ts'

/**
 * The init role: puts the rules in force, and makes sure that they do what they should before anything else of the pod
 * may start. Tells the sentences that a person needs; the last one is why it failed. Resolves with the exit code.
 */
export async function captureTraffic(options: VerifyOptions, tell: (sentence: string) => void): Promise<number> {
  try {
    await applyRuleset(captureRuleset(options.exclude))
    const missing = missingIn(await readTable(TABLE))
    const faults = missing.length > 0 ? missing : await verifyCapture(options)
    for (const fault of faults) tell(`traffic is not captured as it should be: ${fault}`)
    if (faults.length > 0) return 1
  } catch (error) {
    tell(reasonOf(error))
    return 1
  }
  const { inboundPorts, outboundPorts, outboundCidrs } = options.exclude
  const excluded = [
    ...inboundPorts.map((port) => `inbound port ${port}`),
    ...outboundPorts.map((port) => `outbound port ${port}`),
    ...outboundCidrs.map((block) => `outbound to ${block}`),
  ]
  const besides = excluded.length === 0 ? '' : `, but for ${excluded.join(', ')}`
  tell(`TCP of this pod is captured: in on ${PORTS.inbound}, out on ${PORTS.outbound}${besides}`)
  return 0
}

const ADVICE: Readonly<Record<FirewallFailure, string>> = {
  'no-program': 'the image of the init container has no nft',
  'not-permitted':
    'the init container may not write rules: it runs as user 0 with the capability NET_ADMIN; a PodSecurity level of baseline or restricted forbids that in the namespace',
  'no-support': "this node's kernel has no nf_tables with NAT for IPv4 and IPv6 (nf_tables, nft_chain_nat, nft_redir)",
  refused: 'the kernel refused the rules',
}

function reasonOf(error: unknown): string {
  if (error instanceof FirewallError) return `${ADVICE[error.code]}: ${error.message}`
  const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : ''
  return `${error instanceof Error ? error.message : String(error)}${cause}`
}
