import type { RotationStatus } from '../../operator/identity/rotation/root-rotation.ts'
import type { KubernetesClient } from '../../operator/kubernetes/client.ts'
import { CommandError, EXIT } from '../exit-code.ts'
import { readAuthority } from './root-generation.ts'

export interface FollowOptions {
  readonly client: KubernetesClient
  /** Fingerprint of the root that signed before. */
  readonly signing: string | undefined
  /** Milliseconds after which the command ends; the rotation goes on. */
  readonly waitMs: number
  /** Milliseconds between two looks. Default 1,000. */
  readonly lookMs?: number
  readonly say: (line: string) => void
}

const LOOK_MS = 1_000

const STEPS: Readonly<Record<RotationStatus['phase'], string>> = {
  stable: 'nothing has begun yet',
  distributing: 'the new root is made, and is trusted as it arrives',
  signing: 'the new root signs, and everybody gets a new certificate',
  retiring: 'the old root is out, as everybody acknowledges',
}

/** Says each step of a replacement until the old root is retired. Ends the command when that takes too long. */
export async function followRotation(options: FollowOptions): Promise<void> {
  const { client, signing, waitMs, lookMs = LOOK_MS, say } = options
  const untilMs = performance.now() + waitMs
  let said = ''
  let isBegun = false
  for (;;) {
    const authority = await readAuthority(client)
    const now = authority?.roots.find(({ use }) => use === 'Signing')?.fingerprint
    isBegun ||= authority !== undefined && authority.phase !== 'stable'
    const isOther = signing !== undefined && now !== signing
    if (authority?.phase === 'stable' && now !== undefined && (isBegun || isOther)) {
      say(`✓ ${now} signs, and no other root is trusted`)
      return
    }
    const line = lineOf(authority)
    if (line !== said) say(line)
    said = line
    if (performance.now() >= untilMs) {
      throw new CommandError(EXIT.failure, 'not done in time: it goes on by itself, see hauberk ca status')
    }
    const { promise, resolve } = Promise.withResolvers<void>()
    setTimeout(resolve, lookMs)
    await promise
  }
}

function lineOf(authority: RotationStatus | undefined): string {
  if (authority === undefined) return 'waiting for an operator to say how its roots stand'
  const { phase, waiting, waitingFor, problem } = authority
  if (problem !== undefined) return `${phase}: the root that is wanted cannot be had: ${problem}`
  const [who = [], more] = [waitingFor.slice(0, 3), waiting > 3 ? ` and ${waiting - 3} more` : '']
  const left = waiting === 0 ? '' : `; waiting for ${who.join(', ')}${more}`
  return `${phase}: ${STEPS[phase]}${left}`
}
