import { randomBytes } from 'node:crypto'
import type { OperatorOptions } from '../../operator/options.ts'
import { writeFileAtomic } from '../../runtime/atomic-file.ts'
import { startChild } from './child-process.ts'
import type { MeshContext } from './mesh-context.ts'
import { createPart, type Part } from './part.ts'
import { httpStatus } from './probe.ts'
import { watchReadiness } from './readiness.ts'
import { supervise } from './supervise.ts'

export interface OperatorPartOptions {
  readonly files: readonly string[]
  readonly port: number
  readonly adminPort: number
  readonly leafLifetimeMs?: number
  readonly logLevel: OperatorOptions['logLevel']
}

export interface OperatorPart {
  readonly part: Part
  readonly admin: { readonly port: number; readonly tokenFile: string }
  readonly statusFile: string
}

/** Starts the operator and keeps it running. */
export async function startOperatorPart(options: OperatorPartOptions, context: MeshContext): Promise<OperatorPart> {
  const { state, clock, random, program, environment } = context
  const name = 'operator'
  const optionsFile = state.at('run', 'operator.json')
  const tokenFile = state.at('run', 'operator-admin-token')
  const statusFile = state.at('run', 'status.json')
  const written: OperatorOptions = {
    files: options.files,
    stateDirectory: state.path,
    trustAnchorsFile: state.at('ca.crt'),
    listen: { host: '127.0.0.1', port: options.port },
    admin: { port: options.adminPort, tokenFile },
    statusFile,
    ...(options.leafLifetimeMs !== undefined && { leafLifetimeMs: options.leafLifetimeMs }),
    logLevel: options.logLevel,
  }
  await Promise.all([
    writeFileAtomic(optionsFile, JSON.stringify(written, undefined, 2)),
    writeFileAtomic(tokenFile, randomBytes(32).toString('base64url')),
  ])
  const log = context.log(name)
  const readiness = watchReadiness({
    look: async () => (await httpStatus(options.adminPort, '/readyz'))?.status === 200,
    clock,
  })
  const supervised = supervise({
    name,
    start: () =>
      startChild({
        argv: [...program, 'operator', '--options', optionsFile, '--exit-with-parent'],
        environment,
        ipc: true,
        onLine: (line) => log.write(line),
      }),
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
    admin: { port: options.adminPort, tokenFile },
    statusFile,
  }
}
