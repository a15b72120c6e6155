import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { versionOf } from '../../contract/codec.ts'
import type { KeysDocument } from '../../contract/keys.ts'
import { CONTRACT_VERSION } from '../../contract/workload-config.ts'
import { describeIssue } from '../../model/result.ts'
import type { WorkloadId } from '../../model/workload-id.ts'
import { loadFiles } from '../../operator/sources/files.ts'
import { snapshotOf } from '../../operator/store/snapshot.ts'
import { translate } from '../../operator/translate/translate.ts'
import { SECTIONS } from '../../policies/sections.ts'
import { APP_ID } from '../world/certificates.ts'
import { freePort, startProcess, untilListening } from '../world/process.ts'
import type { Tokens } from '../world/tokens.ts'
import type { World } from '../world/world.ts'
import type { Peer } from './peer.ts'

export interface HauberkOptions {
  /** A file of `bench/mesh/`. */
  readonly policy: 'identity' | 'jwt-limit'
  /** The bundle to run; absent: that of this tree. */
  readonly bundle?: string | undefined
}

const WORKLOAD = 'bench/app' as WorkloadId
const CONTAINER_PORT = 8080

/**
 * The product's own sidecar, one process. Its config is what the operator makes of the YAML, its keys and identity are
 * where a sidecar keeps what it was given: it starts as it does when the operator is away, and nobody answers there.
 *
 * Of decisions it logs refusals only: HAProxy logs nothing here.
 */
export function hauberk({ policy, bundle }: HauberkOptions): Peer {
  return {
    programs: [],
    async start(world, directory) {
      const port = await freePort()
      const options = join(directory, 'options.json')
      await writeFile(options, JSON.stringify(await sidecarOptions(world, directory, port)), { mode: 0o600 })
      await writeState(world, join(directory, 'state'), policy)
      const program = join(bundle ?? world.bundle, 'hauberk.mjs')
      const profile = world.profiles === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${world.profiles}`]
      const child = await startProcess([process.execPath, ...profile, program, 'sidecar', '--options', options], {
        core: world.cores.proxy,
        logFile: join(directory, 'sidecar.log'),
        env: { NODE_ENV: 'production' },
      })
      await untilListening(port, child)
      return { pid: child.pid, port, stop: child.stop }
    },
  }
}

async function sidecarOptions(world: World, directory: string, port: number): Promise<object> {
  const trustAnchorsFile = join(directory, 'ca.crt')
  await writeFile(trustAnchorsFile, world.certificates.root)
  const tokenFile = join(directory, 'admin-token')
  await writeFile(tokenFile, 'bench-admin-token-0123456789abcdef', { mode: 0o600 })
  return {
    workload: WORKLOAD,
    pod: 'bench/app-1',
    spiffeId: APP_ID,
    operator: {
      host: '127.0.0.1',
      port: await freePort(),
      spiffeId: 'spiffe://cluster.local/ns/hauberk-system/sa/operator',
    },
    trustAnchorsFile,
    joinTokenFile: join(directory, 'no-join-token'),
    stateDirectory: join(directory, 'state'),
    admin: { port: 0, tokenFile },
    placement: {
      inbound: [
        {
          containerPort: CONTAINER_PORT,
          bind: { host: '127.0.0.1', port },
          app: { host: '127.0.0.1', port: world.backend.port },
        },
      ],
      gateway: [],
      tcp: [],
    },
    decisionLog: 'denied',
    drainMs: 0,
  }
}

/** What the sidecar would have kept of an operator: identity, config and keys. */
async function writeState(world: World, state: string, policy: HauberkOptions['policy']): Promise<void> {
  const { server, root } = world.certificates
  const { config, endpoints } = await translatePolicy(policy, root)
  const identity = {
    privateKey: server.privateKey,
    chain: server.chain,
    trustBundle: [root],
    receivedAtMs: Date.now(),
  }
  await writeJson(join(state, 'identity'), 'identity.json', identity)
  await writeJson(join(state, 'last-good'), 'config.json', config)
  await writeJson(join(state, 'last-good'), 'endpoints.json', endpoints)
  await writeJson(join(state, 'last-good'), 'keys.json', keysFor(world.tokens))
}

/** What an operator would send of the issuer's keys. */
export function keysFor(tokens: Tokens): KeysDocument {
  const document: KeysDocument = {
    contract: CONTRACT_VERSION,
    version: '',
    issuers: { bench: { keys: [{ ...tokens.publicJwk }], fetchedAt: Date.now() } },
  }
  return { ...document, version: versionOf(document, sha256) }
}

/** What an operator makes of a file of `bench/mesh/`. */
export async function translatePolicy(policy: HauberkOptions['policy'], root: string) {
  const file = join(import.meta.dirname, '..', 'mesh', `${policy}.yaml`)
  const { resources, issues } = await loadFiles([file], SECTIONS)
  const { configs, endpoints, reports } = translate(snapshotOf(resources.map(({ resource }) => resource)), {
    sha256,
    mesh: { roots: [root] },
  })
  const found = [...issues, ...[...reports.values()].flatMap((report) => report.issues)]
  if (found.length > 0) throw new Error(`${file}: ${found.map(describeIssue).join('; ')}`)
  const config = configs.get(WORKLOAD)
  if (config === undefined) throw new Error(`${file} has no ${WORKLOAD}`)
  return { config, endpoints: endpoints.get(WORKLOAD) }
}

async function writeJson(directory: string, name: string, value: unknown): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  await writeFile(join(directory, name), JSON.stringify(value), { mode: 0o600 })
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}
