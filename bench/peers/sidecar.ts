import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { versionOf } from '../../contract/codec.ts'
import type { KeysDocument } from '../../contract/keys.ts'
import { CONTRACT_VERSION } from '../../contract/workload-config.ts'
import type { Resource } from '../../model/resource.ts'
import { describeIssue } from '../../model/result.ts'
import type { SpiffeId } from '../../model/spiffe-id.ts'
import type { WorkloadId } from '../../model/workload-id.ts'
import { loadFiles } from '../../operator/sources/files.ts'
import { snapshotOf } from '../../operator/store/snapshot.ts'
import { translate } from '../../operator/translate/translate.ts'
import { SECTIONS } from '../../policies/sections.ts'
import { NODE_FLAGS } from '../../sidecar/node-flags.ts'
import type { Placement } from '../../sidecar/serve/placement.ts'
import type { KeyAndChain } from '../world/certificates.ts'
import { type BenchProcess, freePort, startProcess } from '../world/process.ts'
import type { Tokens } from '../world/tokens.ts'
import type { World } from '../world/world.ts'

export interface SidecarStart {
  readonly workload: WorkloadId
  readonly spiffeId: SpiffeId
  readonly certificate: KeyAndChain
  readonly placement: Partial<Placement>
  /** What an operator makes of them is what the sidecar obeys. */
  readonly resources: readonly Resource[]
  /** Whom it asks for more; absent: nobody answers. */
  readonly operator?: { readonly port: number; readonly spiffeId: string }
  /** The bundle to run; absent: that of this tree. */
  readonly bundle?: string | undefined
  /** Threads that serve. Default: one. */
  readonly workers?: number | undefined
}

/**
 * The product's own sidecar, one process. Its config is what the operator makes of the resources; its keys and identity are
 * where a sidecar keeps what it was given: it starts as it does when the operator is away.
 *
 * Of decisions it logs refusals only: HAProxy logs nothing here.
 */
export async function startSidecar(world: World, directory: string, start: SidecarStart): Promise<BenchProcess> {
  return runSidecar(world, directory, await writeSidecar(world, directory, start), start.bundle)
}

/** Starts what {@link writeSidecar} has written. Resolves before it listens. */
export async function runSidecar(
  world: World,
  directory: string,
  optionsFile: string,
  bundle: string | undefined,
): Promise<BenchProcess> {
  const program = join(bundle ?? world.bundle, 'hauberk.mjs')
  const profile = world.profiles === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${world.profiles}`]
  return startProcess([process.execPath, ...NODE_FLAGS, ...profile, program, 'sidecar', '--options', optionsFile], {
    core: world.cores.proxy,
    logFile: join(directory, 'sidecar.log'),
    // As in the image: a container that starts again finds it where its identity and configuration are.
    env: { NODE_ENV: 'production', NODE_COMPILE_CACHE: join(directory, 'state', 'compiled') },
  })
}

/** Writes what a sidecar finds at its start. Resolves with the path of its options. */
export async function writeSidecar(world: World, directory: string, start: SidecarStart): Promise<string> {
  const { workload, spiffeId, certificate, placement, resources, operator, workers } = start
  const { root } = world.certificates
  const state = join(directory, 'state')
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const trustAnchorsFile = join(directory, 'ca.crt')
  await writeFile(trustAnchorsFile, root)
  const tokenFile = join(directory, 'admin-token')
  await writeFile(tokenFile, 'bench-admin-token-0123456789abcdef', { mode: 0o600 })
  const { config, endpoints } = translateFor(workload, resources, root)
  const identity = { ...certificate, trustBundle: [root], receivedAtMs: Date.now() }
  await writeJson(join(state, 'identity'), 'identity.json', identity)
  await writeJson(join(state, 'last-good'), 'config.json', config)
  await writeJson(join(state, 'last-good'), 'endpoints.json', endpoints)
  await writeJson(join(state, 'last-good'), 'keys.json', keysFor(world.tokens))
  const options = {
    workload,
    pod: `${workload}-1`,
    spiffeId,
    operator: {
      host: '127.0.0.1',
      port: operator?.port ?? (await freePort()),
      spiffeId: operator?.spiffeId ?? 'spiffe://cluster.local/ns/hauberk-system/sa/operator',
    },
    trustAnchorsFile,
    joinTokenFile: join(directory, 'no-join-token'),
    stateDirectory: state,
    admin: { port: 0, tokenFile },
    placement: { inbound: [], gateway: [], tcp: [], ...placement },
    decisionLog: 'denied',
    drainMs: 0,
    ...(workers !== undefined && { workers }),
  }
  const file = join(directory, 'options.json')
  await writeFile(file, JSON.stringify(options), { mode: 0o600 })
  return file
}

/** What an operator would send of the issuer's keys. */
export function keysFor(tokens: Pick<Tokens, 'publicJwk'>): KeysDocument {
  const document: KeysDocument = {
    contract: CONTRACT_VERSION,
    version: '',
    issuers: { bench: { keys: [{ ...tokens.publicJwk }], fetchedAt: Date.now() } },
  }
  return { ...document, version: versionOf(document, sha256) }
}

/** The resources of a file of `bench/mesh/`. Throws when they are not sound. */
export async function readMesh(name: string): Promise<readonly Resource[]> {
  const file = join(import.meta.dirname, '..', 'mesh', `${name}.yaml`)
  const { resources, issues } = await loadFiles([file], SECTIONS)
  if (issues.length > 0) throw new Error(`${file}: ${issues.map(describeIssue).join('; ')}`)
  return resources.map(({ resource }) => resource)
}

/** What an operator makes of the resources for one workload. Throws when they are not sound. */
export function translateFor(workload: WorkloadId, resources: readonly Resource[], root: string) {
  const { configs, endpoints, reports } = translate(snapshotOf(resources), { sha256, mesh: { roots: [root] } })
  const issues = [...reports.values()].flatMap((report) => report.issues)
  if (issues.length > 0) throw new Error(`${workload}: ${issues.map(describeIssue).join('; ')}`)
  const config = configs.get(workload)
  if (config === undefined) throw new Error(`the resources have no ${workload}`)
  return { config, endpoints: endpoints.get(workload) }
}

async function writeJson(directory: string, name: string, value: unknown): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  await writeFile(join(directory, name), JSON.stringify(value), { mode: 0o600 })
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}
