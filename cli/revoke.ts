import { hash } from 'node:crypto'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Command } from 'commander'
import { parseAllDocuments, stringify } from 'yaml'
import { parseDuration } from '../model/duration.ts'
import { describeIssue, type Issue } from '../model/result.ts'
import { applyObject } from '../operator/kubernetes/apply.ts'
import { KubernetesError } from '../operator/kubernetes/errors.ts'
import type { TokenRevocationSpec } from '../operator/resources/token-revocation.ts'
import { readTokenRevocation } from '../operator/translate/read-revocation.ts'
import { chooseMesh, type MeshFlags } from './choose-mesh.ts'
import { addClusterOptions } from './cluster/flags.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { printable } from './printable.ts'
import { DEFAULT_STATE, findRunningMesh } from './running-mesh.ts'

interface RevokeOptions extends MeshFlags {
  readonly jti?: string
  readonly sub?: string
  readonly kid?: string
  readonly before?: string
  readonly issuer?: string
  readonly until?: string
  readonly name?: string
  readonly file?: string
}

/** `hauberk revoke`: has every sidecar refuse tokens that have not expired. */
export function defineRevoke(command: Command): void {
  addClusterOptions(command)
    .option('--local', 'the mesh that runs on this machine')
    .option('--state <directory>', `the state of the mesh that runs on this machine (default: ${DEFAULT_STATE})`)
    .option('--jti <id>', 'one token, by its id')
    .option('--sub <user>', 'tokens of a user')
    .option('--kid <key>', 'tokens that a key has signed')
    .option('--before <time>', 'tokens that were issued before: now, or a time such as 2026-11-23T12:00:00Z')
    .option('--issuer <name>', 'only those of this TokenIssuer (default: of every TokenIssuer)')
    .option('--until <when>', 'when it is over: a duration such as 24h, or a time; default: see below')
    .option('--name <name>', 'of the TokenRevocation (default: made of what it says)')
    .option('-f, --file <file>', 'write it into this file of YAML instead (- is the output)')
    .addHelpText('after', HELP)
    .action(revoke)
}

const HELP = `
Examples:
  hauberk revoke --jti 6f1c2a --issuer corp             one token that was lost
  hauberk revoke --sub ann --issuer corp --before now   ann is logged out everywhere, and may log in again
  hauberk revoke --sub ann --issuer corp                no token of ann counts, old or new, until the revocation is deleted
  hauberk revoke --kid 2026-a --issuer corp             a key was stolen: nothing that it has signed counts
  hauberk revoke --before now --until 24h               everybody has to log in again
  hauberk revoke --jti 6f1c2a -f revocations.yaml       only write the YAML

What is said together has to be true together. It makes a TokenRevocation: applies it to the cluster, or writes it into revocations.yaml in
the first directory that the mesh of this machine reads. Sidecars obey a moment later: kubectl get htr, or hauberk status.
--until has to be later than the exp of the last token that is meant; then sidecars forget the revocation. Without it that time is known where MeshConfig
maxTokenLifetime is set, for --jti and --before; otherwise the revocation stays until it is deleted.
Which mesh: --local or --state say the one of this machine; --context and --kubeconfig say a cluster. Without any of them it is the mesh
of this machine where one runs in ${DEFAULT_STATE} of this directory, else the cluster of the kubeconfig.
Exit codes: 0 done, 1 failed, 2 wrong usage.`

const API_VERSION = 'hauberk.dev/v1alpha1'

async function revoke(options: RevokeOptions): Promise<void> {
  const object = revocationOf(options, Date.now())
  const { name } = object.metadata
  if (options.file !== undefined) return write(options.file, object)
  const mesh = await chooseMesh(options)
  if (mesh.kind === 'local') {
    const { files } = await findRunningMesh(mesh.state)
    return write(await fileAmong(files), object)
  }
  try {
    await applyObject(mesh.cluster.client, object, { plural: 'tokenrevocations', fieldManager: 'hauberk-cli' })
  } catch (cause) {
    if (!(cause instanceof KubernetesError)) throw cause
    throw new CommandError(EXIT.failure, `TokenRevocation ${name} was not applied: ${printable(cause.message)}`, {
      cause,
    })
  } finally {
    mesh.cluster.close()
  }
  process.stdout.write(`TokenRevocation ${name} is applied\n`)
}

interface RevocationObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string }
  readonly spec: TokenRevocationSpec
  readonly [field: string]: unknown
}

function revocationOf({ jti, sub, kid, before, issuer, until, name }: RevokeOptions, nowMs: number): RevocationObject {
  if ([jti, sub, kid, before].every((said) => said === undefined)) {
    throw usage('say which tokens: --jti, --sub, --kid or --before')
  }
  const spec: TokenRevocationSpec = {
    ...(issuer !== undefined && { issuer }),
    ...(jti !== undefined && { jti }),
    ...(sub !== undefined && { sub }),
    ...(kid !== undefined && { kid }),
    ...(before !== undefined && { issuedBefore: timeOf('--before', before, nowMs) }),
    ...(until !== undefined && { until: endOf(until, nowMs) }),
  }
  const made = `revoked-${hash('sha256', JSON.stringify(spec), 'hex').slice(0, 12)}`
  const object = { apiVersion: API_VERSION, kind: 'TokenRevocation', metadata: { name: name ?? made }, spec }
  if (!NAME.test(object.metadata.name)) throw usage(`--name ${name} is no name of a resource`)
  const read = readTokenRevocation(object, undefined)
  if (!read.ok) throw usage(read.issues.map((found: Issue) => describeIssue(found)).join('; '))
  return object
}

/** A DNS subdomain, as Kubernetes wants it. */
const NAME = /^[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?$/

/** With seconds, as `iat` has them. Now is the next one: a token of this very second is older than the revocation. */
function timeOf(option: string, said: string, nowMs: number): string {
  if (said === 'now') return seconds(Math.ceil(nowMs / 1_000) * 1_000)
  const at = DATE.test(said) ? Date.parse(said) : Number.NaN
  if (Number.isNaN(at)) throw usage(`${option} ${said} is no time, such as now or 2026-11-23T12:00:00Z`)
  return seconds(Math.ceil(at / 1_000) * 1_000)
}

function endOf(said: string, nowMs: number): string {
  const duration = parseDuration(said)
  const at = duration.ok ? nowMs + duration.value : DATE.test(said) ? Date.parse(said) : Number.NaN
  if (Number.isNaN(at)) throw usage(`--until ${said} is neither a duration such as 24h nor a time`)
  if (at <= nowMs) throw usage(`--until ${said} is past`)
  return seconds(Math.ceil(at / 1_000) * 1_000)
}

const DATE = /^\d{4}-\d{2}-\d{2}/

function seconds(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z')
}

/** The mesh reads whatever is in its directories, and a file as it is. */
async function fileAmong(files: readonly string[]): Promise<string> {
  for (const file of files) if ((await stat(file)).isDirectory()) return join(file, 'revocations.yaml')
  throw new CommandError(EXIT.failure, 'the mesh of this machine reads no directory: say with -f which of its files')
}

async function write(file: string, object: RevocationObject): Promise<void> {
  // Times in quotes: to readers of YAML 1.1 they are no texts otherwise.
  const text = stringify(object, { lineWidth: 0, version: '1.1' })
  if (file === '-') return void process.stdout.write(text)
  const { name } = object.metadata
  const before = await textOf(file)
  const isThere = parseAllDocuments(before).some((document) => {
    const { kind, metadata } = (document.toJS() ?? {}) as { kind?: unknown; metadata?: { name?: unknown } }
    return kind === 'TokenRevocation' && metadata?.name === name
  })
  if (isThere) return void process.stdout.write(`TokenRevocation ${name} is in ${printable(file)} already\n`)
  const separator = before.trim() === '' ? '' : `${before.endsWith('\n') ? '' : '\n'}---\n`
  await writeFile(file, `${before}${separator}${text}`)
  process.stdout.write(`TokenRevocation ${name} is in ${printable(file)}\n`)
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw new CommandError(EXIT.failure, `${file} cannot be read`, { cause })
  }
}

function usage(message: string): CommandError {
  return new CommandError(EXIT.usage, `hauberk revoke: ${message}`)
}
