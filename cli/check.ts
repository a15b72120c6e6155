import type { Command } from 'commander'
import { askMesh } from './check/ask-mesh.ts'
import type { Finding } from './check/finding.ts'
import { counted, countFindings, formatFindings } from './check/findings-text.ts'
import { inspect } from './check/inspect.ts'
import { inspectLive } from './check/live.ts'
import { formatLive } from './check/live-text.ts'
import { checkCluster } from './check-cluster.ts'
import { addMeshOptions, findMesh, type MeshFlags, WHICH_MESH } from './choose-mesh.ts'
import { isClusterAsked } from './cluster/flags.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { readFileMesh } from './file-mesh.ts'
import { addFileOption } from './file-option.ts'
import { printDocument } from './output/document.ts'
import { addOutputOption, type OutputFormat } from './output-format.ts'
import { type Paint, painterOf } from './paint.ts'
import { printableIn } from './printable.ts'

interface CheckOptions extends MeshFlags {
  readonly file?: readonly string[]
  readonly live?: true
  readonly output: OutputFormat
  readonly strict?: true
  readonly wait?: string
}

/** `hauberk check`: all that can be said about a mesh from its files, or about one that runs. */
export function defineCheck(command: Command): void {
  addMeshOptions(addOutputOption(addFileOption(command)), 'all that are in the mesh')
    .option('--live', 'the same as --local')
    .option('--wait <duration>', 'on a cluster: look again until there are no errors, this long')
    .option('--strict', `end with ${EXIT.findings} for warnings too`)
    .addHelpText('after', HELP)
    .action(async (options: CheckOptions) => {
      const { errors, warnings } = await check(options)
      if (errors > 0 || (options.strict === true && warnings > 0)) throw new CommandError(EXIT.findings)
    })
}

const HELP = `
Examples:
  hauberk check                            the mesh that runs: is everything in place, and does everybody obey
  hauberk check --wait 2m                  after an installation or upgrade
  hauberk check -n shop                    what concerns one namespace
  hauberk check -f samples/shop            files: what is wrong, where, and what would be right
  hauberk check -f policies -f routes -o json
  hauberk check -f . --strict              in CI: warnings count too

${WHICH_MESH}

On a cluster nothing is changed: a pod and a policy are tried by dry runs. Sidecars and operators are asked by programs in their
containers, which takes create on pods/exec. docs/troubleshooting.md explains each check, docs/issues.md each numbered finding.
Exit codes: 0 nothing of severity error, 1 could not look, 2 wrong usage, 79 there are errors (with --strict: or warnings).`

interface Counts {
  readonly errors: number
  readonly warnings: number
}

async function check(options: CheckOptions): Promise<Counts> {
  const { file, live, output, wait } = options
  if (file !== undefined) return checkFiles(file, options)
  const mesh = await findMesh({ ...options, ...(live === true && { local: live }) })
  if (mesh === undefined) {
    const message = 'say which files with -f: no mesh runs in .hauberk, and there is no kubeconfig'
    throw new CommandError(EXIT.usage, `hauberk check: ${message}`)
  }
  if (mesh.kind === 'local') return checkLocal(mesh.state, output)
  const { cluster } = mesh
  try {
    return await checkCluster(cluster, { namespace: options.namespace, output, wait })
  } finally {
    cluster.close()
  }
}

async function checkFiles(file: readonly string[], options: CheckOptions): Promise<Counts> {
  const { output } = options
  const isMeshAsked = [options.live, options.local, options.state, options.wait].some((flag) => flag !== undefined)
  if (isMeshAsked || isClusterAsked(options)) {
    throw new CommandError(EXIT.usage, 'hauberk check: either files (-f) or a mesh that runs')
  }
  const mesh = await readFileMesh(file)
  const findings = inspect(mesh)
  const summary = {
    ...summaryOf(findings),
    files: mesh.files.length,
    resources: mesh.resources.length,
    workloads: mesh.translation.configs.size,
  }
  if (output !== 'table') printDocument({ findings, summary }, output, process.stdout)
  else {
    const { files, resources, workloads } = summary
    const looked = [counted(files, 'file'), counted(resources, 'resource'), counted(workloads, 'workload')]
    const paint = painterOf(process.stdout)
    const isBroken = mesh.issues.some(({ severity }) => severity === 'error')
    const rest = isBroken ? '  What refers to what is told when the files themselves are right.\n' : ''
    process.stdout.write(findingsText(findings, looked, paint) + paint('dim', rest))
  }
  return summaryOf(findings)
}

async function checkLocal(state: string, output: OutputFormat): Promise<Counts> {
  const nowMs = Date.now()
  const mesh = await askMesh(state, nowMs)
  const findings = inspectLive(mesh, nowMs)
  const { resources, workloads } = mesh.status
  if (output !== 'table') {
    const summary = { ...summaryOf(findings), resources: resources.length, workloads: workloads.length }
    printDocument({ findings, summary, ...mesh }, output, process.stdout)
  } else {
    const paint = painterOf(process.stdout)
    const looked = [counted(resources.length, 'resource'), counted(workloads.length, 'workload')]
    process.stdout.write(`${formatLive(printableIn(mesh), paint, nowMs)}\n${findingsText(findings, looked, paint)}`)
  }
  return summaryOf(findings)
}

function summaryOf(findings: readonly Finding[]) {
  const { error, warning, info } = countFindings(findings)
  return { errors: error, warnings: warning, infos: info }
}

function findingsText(findings: readonly Finding[], looked: readonly string[], paint: Paint): string {
  const { error, warning, info } = countFindings(findings)
  const found = [
    ...(error > 0 ? [counted(error, 'error')] : []),
    ...(warning > 0 ? [counted(warning, 'warning')] : []),
    ...(info > 0 ? [`${info} info`] : []),
  ]
  const mark = error > 0 ? paint('red', '✗') : warning > 0 ? paint('yellow', '!') : paint('green', '✓')
  const list = findings.length > 0 ? `${formatFindings(findings, paint)}\n` : ''
  const said = found.length === 0 ? 'nothing to complain about' : found.join(', ')
  return `${list}${mark} ${said} ${paint('dim', `(${looked.join(', ')})`)}\n`
}
