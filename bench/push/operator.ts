import { join } from 'node:path'
import type { Resource } from '../../model/resource.ts'
import { trustDomainOf } from '../../model/spiffe-id.ts'
import { APP_ID } from '../world/certificates.ts'
import { type Child, startChild } from '../world/child.ts'
import { freePort } from '../world/process.ts'
import type { World } from '../world/world.ts'

export interface OperatorSettings {
  readonly resources: readonly Resource[]
  /** Its `ca` holds the authority that made everybody's certificates. */
  readonly directory: string
  readonly port: number
  readonly trustDomain: string
}

export type OperatorAsk =
  | { readonly type: 'start'; readonly settings: OperatorSettings }
  | { readonly type: 'edit'; readonly resource: Resource }
export type OperatorAnswer =
  | { readonly type: 'started'; readonly spiffeId: string; readonly issues: readonly string[] }
  | { readonly type: 'edited' }

/** The product's operator on the core of the generator: what it computes is not what is measured. */
export interface Operator {
  readonly port: number
  readonly spiffeId: string
  edit(resource: Resource): Promise<void>
  stop(): Promise<void>
}

export async function startOperator(
  world: World,
  directory: string,
  resources: readonly Resource[],
): Promise<Operator> {
  const child: Child<OperatorAsk, OperatorAnswer> = await startChild(join(import.meta.dirname, 'operator-program.ts'), {
    cores: [world.cores.rest],
    logFile: join(directory, 'operator.log'),
  })
  const port = await freePort()
  const settings = { resources, directory: world.directory, port, trustDomain: trustDomainOf(APP_ID) }
  const { spiffeId, issues } = await child.ask({ type: 'start', settings }, 'started')
  if (issues.length > 0) throw new Error(`the resources are not sound: ${issues.join('; ')}`)
  return {
    port,
    spiffeId,
    edit: async (resource) => void (await child.ask({ type: 'edit', resource }, 'edited')),
    stop: child.kill,
  }
}
