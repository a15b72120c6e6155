import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { createJoinTokens } from '../../operator/identity/join-tokens.ts'
import { writeFileAtomic } from '../../runtime/atomic-file.ts'
import { NODE_FLAGS } from '../../sidecar/node-flags.ts'
import type { SidecarOptions } from '../../sidecar/options.ts'
import { startChild } from './child-process.ts'
import { parseDecision } from './decision.ts'
import { DRAIN_MS, type MeshContext } from './mesh-context.ts'
import { createPart, type Part } from './part.ts'
import type { ProxyPlan } from './plan.ts'
import { httpStatus } from './probe.ts'
import { watchReadiness } from './readiness.ts'
import { supervise } from './supervise.ts'

export interface ProxyPartOptions {
  readonly plan: ProxyPlan
  readonly role: 'sidecar' | 'gateway'
  readonly operator: SidecarOptions['operator']
  readonly appPidFile?: string
  readonly keystoreDirectory?: string
  readonly decisionLog: SidecarOptions['decisionLog']
  readonly logLevel: SidecarOptions['logLevel']
  readonly onReadiness?: (isReady: boolean) => void
}

export interface ProxyPart {
  readonly part: Part
  readonly plan: ProxyPlan
  readonly role: 'sidecar' | 'gateway'
  readonly optionsFile: string
  readonly admin: { readonly port: number; readonly tokenFile: string }
}

/** A join token lives 60 s; whoever has no certificate after half of that gets another. */
const TOKEN_MS = 30_000

/** Starts a sidecar or gateway and keeps it running. */
export async function startProxyPart(options: ProxyPartOptions, context: MeshContext): Promise<ProxyPart> {
  const { plan, role, operator, appPidFile, keystoreDirectory, decisionLog, logLevel, onReadiness } = options
  const { state, clock, random, program, environment, warmUp } = context
  const [node, ...script] = program
  const name = role === 'gateway' ? `gateway ${plan.id.split('/')[1]}` : `sidecar ${plan.id}`
  const at = (file: string) => state.at('workloads', plan.name, file)
  const optionsFile = at('sidecar.json')
  const tokenFile = at('admin-token')
  const joinTokenFile = at('join-token')
  const written: SidecarOptions = {
    workload: plan.id,
    pod: plan.pod,
    spiffeId: plan.spiffeId,
    operator,
    trustAnchorsFile: state.at('ca.crt'),
    joinTokenFile,
    stateDirectory: at('state'),
    admin: { port: plan.adminPort, tokenFile },
    ...(appPidFile !== undefined && { appPidFile }),
    ...(keystoreDirectory !== undefined && { keystoreDirectory }),
    placement: plan.placement,
    logLevel,
    decisionLog,
    drainMs: DRAIN_MS,
  }
  await mkdir(state.at('workloads', plan.name), { recursive: true, mode: 0o700 })
  if (keystoreDirectory !== undefined) await mkdir(keystoreDirectory, { recursive: true, mode: 0o700 })
  await Promise.all([
    writeFileAtomic(optionsFile, JSON.stringify(written, undefined, 2)),
    writeFileAtomic(tokenFile, randomBytes(32).toString('base64url')),
  ])

  const tokens = createJoinTokens(state.at('join'), clock)
  let mintedAt = Number.NEGATIVE_INFINITY
  const mint = async () => {
    mintedAt = clock.monotonic()
    await writeFileAtomic(joinTokenFile, await tokens.mint({ workload: plan.id, spiffeId: plan.spiffeId }))
  }
  const log = context.log(role === 'gateway' ? plan.name : `${plan.name}.sidecar`)

  let onLoaded = () => {}
  const readiness = watchReadiness({
    async look() {
      const answer = await httpStatus(plan.adminPort, '/readyz')
      if (answer !== undefined) onLoaded()
      if (answer !== undefined && answer.status !== 200 && lacksIdentity(answer.body)) {
        // Its token was spent or has expired: the operator was away, or its certificate ended.
        if (clock.monotonic() - mintedAt > TOKEN_MS) await mint()
      }
      return answer?.status === 200
    },
    ...(onReadiness !== undefined && { onChange: onReadiness }),
    clock,
  })
  const supervised = supervise({
    name,
    async start() {
      onLoaded = await warmUp.enter()
      await mint()
      return startChild({
        argv: [node, ...NODE_FLAGS, ...script, 'sidecar', '--options', optionsFile, '--exit-with-parent'],
        environment,
        ipc: true,
        onLine(line) {
          const decision = parseDecision(line)
          if (decision === undefined) log.write(line)
          else context.onDecision(decision, line)
        },
      })
    },
    onStarted: (running) => context.onStarted(name, running, 'SIGTERM'),
    onEnded(how, waitMs) {
      readiness.lost()
      context.onEnded(name, how, waitMs)
    },
    clock,
    random,
  })
  return {
    part: createPart(name, supervised, readiness, log),
    plan,
    role,
    optionsFile,
    admin: { port: plan.adminPort, tokenFile },
  }
}

/** Whether a health report says that there is no certificate, or none that still holds. */
function lacksIdentity(report: string): boolean {
  try {
    const { conditions } = JSON.parse(report) as { conditions?: { name: string; ok: boolean }[] }
    return conditions?.some(({ name, ok }) => name === 'identity' && !ok) === true
  } catch {
    return false
  }
}
