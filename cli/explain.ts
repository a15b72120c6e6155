import { type Command, InvalidArgumentError } from 'commander'
import { read } from '../contract/codec.ts'
import { WorkloadConfig } from '../contract/workload-config.ts'
import { describeIssue } from '../model/result.ts'
import { compile } from '../sidecar/compile/compile.ts'
import type { Pipeline } from '../sidecar/compile/pipeline.ts'
import type { ExplainedDecision } from '../sidecar/observe/decision-ring.ts'
import { addMeshOptions, type ChosenMesh, chooseMesh, type MeshFlags, WHICH_MESH } from './choose-mesh.ts'
import type { Cluster } from './cluster/cluster.ts'
import { isClusterAsked } from './cluster/flags.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { type Answer, answerFor } from './explain/answer.ts'
import { type AskWords, ask } from './explain/ask.ts'
import { answerForCall, calledService, siteOfCall } from './explain/call.ts'
import { readClaims } from './explain/claims-file.ts'
import { liveConfigOf, liveDecision, placeInCluster } from './explain/in-cluster.ts'
import { formatAnswer, type Place } from './explain/text.ts'
import { type FileMesh, OFFLINE, readFileMesh } from './file-mesh.ts'
import { addFileOption } from './file-option.ts'
import { pathOfRule, resourceOfOrigin } from './origin.ts'
import { printDocument } from './output/document.ts'
import { addOutputOption, type OutputFormat } from './output-format.ts'
import { painterOf } from './paint.ts'
import { printable, printableIn } from './printable.ts'
import { askAdmin, findRunningMesh } from './running-mesh.ts'
import { readSoundFiles } from './sound-files.ts'
import { findWorkload } from './workload-name.ts'

interface ExplainOptions extends MeshFlags {
  readonly file?: readonly string[]
  readonly from?: string
  readonly to?: string
  readonly claims?: string
  readonly client?: string
  readonly header: readonly string[]
  readonly host?: string
  readonly port?: number
  readonly clientIp?: string
  readonly user?: string
  readonly database?: string
  readonly exitCode?: true
  readonly output: OutputFormat
}

/** `hauberk explain`: why a request was refused, or what would become of one. */
export function defineExplain(command: Command): void {
  addMeshOptions(addOutputOption(addFileOption(command)), 'all')
    .usage(
      '[options] DECISION-ID\n       hauberk explain [options] WORKLOAD METHOD PATH\n       hauberk explain [options] WORKLOAD METHOD PATH --to SERVICE',
    )
    .argument(
      '<what>',
      'the id of a decision, or a workload: namespace/name, its name, or gateway; on a cluster also pod/NAME or service/NAME',
    )
    .argument('[method]', 'GET, POST, ...; left out for a port of opaque TCP')
    .argument('[path]', 'the path, with its query if that matters')
    .option('--from <caller>', 'who calls: a service account (namespace/name), or a SPIFFE ID')
    .option('--to <service>', 'the workload is who calls: where its calls to this Service go, and how they are sent')
    .option('--claims <file>', 'what a verified token says, as JSON or YAML; without it there is no token')
    .option('--client <client>', 'whose API key the request has, taken to be good; without it there is no key')
    .option('--header <name:value>', 'a header; may be given several times', collect, [])
    .option('--host <host>', 'the host that is asked for')
    .option('--port <port>', 'the port of the container, the Service or the listener', parsePort)
    .option('--client-ip <address>', 'where the client is (default: 127.0.0.1)')
    .option('--user <user>', 'who a client of Postgres wants to be')
    .option('--database <database>', 'where it wants to be that (default: the database of that name)')
    .option('--exit-code', `end with ${EXIT.findings} when the request is refused`)
    .addHelpText('after', HELP)
    .action(async (what: string, method: string | undefined, path: string | undefined, options: ExplainOptions) => {
      const isDecision = method === undefined && DECISION_ID.test(what)
      const { answer, place } = isDecision
        ? await explainDecision(what, options)
        : await explainRequest(what, { method, target: path, headers: options.header }, options)
      if (options.output !== 'table') printDocument(answer, options.output, process.stdout)
      else process.stdout.write(formatAnswer(printableIn(answer), painterOf(process.stdout), printablePlace(place)))
      if (options.exitCode === true && answer.outcome === 'denied') throw new CommandError(EXIT.findings)
    })
}

const HELP = `
Examples:
  hauberk explain 9f86d081884c7d65
      why that request was refused: the id is in the answer and in the log
  hauberk explain orders GET /users/ann/orders --from shop/storefront --claims ann.json
      what the running mesh would say to this request
  hauberk explain orders GET /users/ann/orders --from shop/storefront --claims ann.json -f samples/shop
      the same from files alone, before anybody obeys them
  hauberk explain gateway GET /api/catalog/products --host shop.localhost
  hauberk explain orders-db --from shop/catalog --user orders
  hauberk explain storefront GET /users/ann/orders --to orders
      the other side of it: which route the call takes, to which backends, with which timeouts and retries

${WHICH_MESH}
With -f no mesh is asked.

A claims file holds what the token says: {"iss": "https://auth.shop.example", "sub": "ann", "scope": "orders:read"}.
Neither signatures nor times are judged, and rate limits are taken as not reached.
Exit codes: 0 explained, 1 failed, 2 wrong usage; with --exit-code 79 for a request that is refused.`

/** As sidecars make them: eight random bytes. */
const DECISION_ID = /^[0-9a-f]{16}$/

/** Files have whatever names somebody gave them. */
function printablePlace(place: Place): Place {
  return (origin, rule) => {
    const where = place(origin, rule)
    return where === undefined ? undefined : printable(where)
  }
}

const NOWHERE: Place = () => undefined

async function explainRequest(
  word: string,
  words: Pick<AskWords, 'method' | 'target' | 'headers'>,
  options: ExplainOptions,
): Promise<Told> {
  const { pipeline, gateway, place, accounts } =
    options.file === undefined ? await fromMesh(word, options) : await fromFiles(word, options.file, options)
  const claims = options.claims === undefined ? undefined : await readClaims(options.claims)
  const { from, to, host, port, client, clientIp, user, database } = options
  if (to !== undefined && from !== undefined) {
    throw new CommandError(EXIT.usage, 'hauberk explain: with --to it is the workload that calls: leave --from out')
  }
  const called = to === undefined ? undefined : calledService(pipeline, to, port)
  const asked =
    called === undefined
      ? ask(pipeline, { ...words, from, gateway, claims, client, host, port, clientIp, user, database })
      : ask(pipeline, { ...words, from: pipeline.config.identity.spiffeId, host, clientIp }, siteOfCall(called))
  if (asked.kind === 'asked' && called !== undefined) {
    return { answer: answerForCall(pipeline, called, asked.asked, asked.notes), place }
  }
  if (asked.kind === 'asked') {
    const { caller } = asked.asked
    const notes =
      caller === undefined || accounts === undefined || accounts.has(caller)
        ? asked.notes
        : [...asked.notes, `no workload in these files runs as ${caller}`]
    return { answer: answerFor(pipeline, asked.asked, notes), place }
  }
  const { method = '', target = '' } = words
  const answer: Answer = {
    workload: pipeline.config.workload,
    request: {
      method,
      path: target,
      port: asked.port,
      ...(asked.caller !== undefined && { caller: asked.caller }),
      clientIp: clientIp ?? '127.0.0.1',
    },
    outcome: 'denied',
    denial: asked.reason,
    status: asked.status,
    detail:
      asked.reason === 'unknown-method'
        ? `no proxy of the mesh takes the method ${method}, whatever the policies say`
        : `no proxy of the mesh passes such a target on, whatever the policies say: ${whyNoTarget(asked.reason, target)}`,
    considerations: [],
    notes: [],
  }
  return { answer, place }
}

function whyNoTarget(reason: string, target: string): string {
  if (reason === 'ambiguous-path') return 'it can be read in two ways'
  return target.startsWith('/') || target === '*' ? `see docs/denials.md#${reason}` : 'write a path that begins with /'
}

interface Explained {
  readonly pipeline: Pipeline
  /** The id of the only gateway. */
  readonly gateway: string | undefined
  readonly place: Place
  /** The SPIFFE IDs of all workloads, where they are known. */
  readonly accounts?: ReadonlySet<string>
}

async function fromFiles(word: string, files: readonly string[], flags: MeshFlags): Promise<Explained> {
  if (isClusterAsked(flags) || flags.local === true) {
    throw new CommandError(EXIT.usage, 'hauberk explain: either files (-f) or a mesh that runs')
  }
  const mesh = await readSoundFiles(files, process.stderr)
  const configs = [...mesh.translation.configs.values()]
  return {
    pipeline: pipelineOf(findWorkload(word, configs)),
    gateway: onlyGateway(configs),
    place: placeIn(mesh),
    accounts: new Set(configs.map(({ identity }) => identity.spiffeId)),
  }
}

/** Asks the mesh that the flags choose, and lets it go. */
async function withMesh<T>(
  flags: MeshFlags,
  ask: { local(state: string): Promise<T>; cluster(cluster: Cluster): Promise<T> },
): Promise<T> {
  const mesh: ChosenMesh = await chooseMesh(flags)
  if (mesh.kind === 'local') return ask.local(mesh.state)
  try {
    return await ask.cluster(mesh.cluster)
  } finally {
    mesh.cluster.close()
  }
}

function fromMesh(word: string, flags: MeshFlags): Promise<Explained> {
  return withMesh(flags, {
    local: (state) => fromRunningMesh(word, state),
    async cluster(cluster) {
      const { config, pods } = await liveConfigOf(cluster, word, flags.namespace)
      const known = pods.flatMap(({ workload, role }) => (workload === undefined ? [] : [{ workload, role }]))
      return { pipeline: pipelineOf(config), gateway: onlyGateway(known), place: await placeInCluster(cluster) }
    },
  })
}

async function fromRunningMesh(word: string, state: string): Promise<Explained> {
  const { proxies, files } = await findRunningMesh(state)
  const { workload, admin } = findWorkload(word, proxies)
  const answer = await askAdmin(`the sidecar of ${workload}`, admin, '/config')
  if (!answer.ok) throw new CommandError(EXIT.failure, `the sidecar of ${workload} has no configuration yet`)
  const config = read(WorkloadConfig, answer.body)
  if (!config.ok) {
    const [first] = config.issues
    throw new CommandError(
      EXIT.failure,
      `the sidecar of ${workload} is of another release: ${first === undefined ? '' : describeIssue(first)}`,
    )
  }
  return {
    pipeline: pipelineOf(config.value),
    gateway: onlyGateway(proxies),
    place: await placeInFiles(files),
  }
}

function placeIn(mesh: FileMesh): Place {
  return (origin, rule) => {
    const path = rule === undefined ? 'spec' : pathOfRule(mesh.snapshot, origin, rule)
    const location = mesh.locate(resourceOfOrigin(origin), path)
    return location && `${location.file}:${location.line}`
  }
}

/** The files of a mesh that runs may be gone, or broken by now: then nobody knows the place. */
async function placeInFiles(files: readonly string[]): Promise<Place> {
  try {
    return placeIn(await readFileMesh(files))
  } catch {
    return NOWHERE
  }
}

function pipelineOf(config: WorkloadConfig): Pipeline {
  const compiled = compile(config, undefined, OFFLINE)
  if (compiled.ok) return compiled.value
  throw new CommandError(EXIT.failure, `${config.workload}: ${compiled.issues.map(describeIssue).join('; ')}`)
}

function onlyGateway(workloads: readonly Pick<WorkloadConfig, 'workload' | 'role'>[]): string | undefined {
  const [only, ...others] = new Set(workloads.filter(({ role }) => role === 'gateway').map(({ workload }) => workload))
  return others.length === 0 ? only : undefined
}

interface Told {
  readonly answer: Answer
  readonly place: Place
}

function explainDecision(id: string, flags: MeshFlags): Promise<Told> {
  return withMesh(flags, {
    local: (state) => localDecision(id, state),
    async cluster(cluster) {
      const decision = (await liveDecision(cluster, id, flags.namespace)) as WireDecision
      return { answer: answerOf(decision), place: await placeInCluster(cluster) }
    },
  })
}

/** Whoever made the decision remembers it; the others are asked in vain. */
async function localDecision(id: string, state: string): Promise<Told> {
  const { proxies, files } = await findRunningMesh(state)
  const answers = await Promise.allSettled(
    proxies.map(({ workload, admin }) => askAdmin(`the sidecar of ${workload}`, admin, `/decision?id=${id}`)),
  )
  for (const answer of answers) {
    if (answer.status !== 'fulfilled' || !answer.value.ok) continue
    return { answer: answerOf(answer.value.body as WireDecision), place: await placeInFiles(files) }
  }
  const silent = answers.filter(({ status }) => status === 'rejected').length
  throw new CommandError(
    EXIT.failure,
    [
      `no sidecar remembers the decision ${id}: each remembers its newest 512 refusals by a policy; what had no route or no endpoint, or was no request that may be read, is in the decision log alone (${state}/logs/decisions.log)`,
      ...(silent === 0 ? [] : [`${silent} of ${proxies.length} sidecars did not answer`]),
    ].join('\n'),
  )
}

type WireDecision = ExplainedDecision & { readonly workload: string }

function answerOf(decision: WireDecision): Answer {
  const { workload, method, host, path, port, clientIp, caller, issuer, subject, client, change, ...rest } = decision
  return {
    ...rest,
    workload,
    request: {
      method,
      path,
      host,
      port,
      clientIp,
      ...(caller !== undefined && { caller }),
      ...(issuer !== undefined && { issuer }),
      ...(subject !== undefined && { subject }),
      ...(client !== undefined && { client }),
    },
    ...(change !== undefined && { changes: [[change]] }),
    notes: [],
  }
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value]
}

function parsePort(text: string): number {
  const port = Number(text)
  if (!Number.isInteger(port) || port < 1 || port > 65535) throw new InvalidArgumentError('It is no port.')
  return port
}
