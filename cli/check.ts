import type { Command } from 'commander'
import { askMesh } from './check/ask-mesh.ts'
import type { Finding } from './check/finding.ts'
import { counted, countFindings, formatFindings } from './check/findings-text.ts'
import { inspect } from './check/inspect.ts'
import { inspectLive } from './check/live.ts'
import { formatLive } from './check/live-text.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { readFileMesh } from './file-mesh.ts'
import { addFileOption } from './file-option.ts'
import { printDocument } from './output/document.ts'
import { addOutputOption, type OutputFormat } from './output-format.ts'
import { type Paint, painterOf } from './paint.ts'
import { DEFAULT_STATE } from './running-mesh.ts'

interface CheckOptions {
  readonly file?: readonly string[]
  readonly live?: true
  readonly state: string
  readonly output: OutputFormat
  readonly strict?: true
}

/** `hauberk check`: all that can be said about a mesh from its files, or about one that runs. */
export function defineCheck(command: Command): void {
  addOutputOption(addFileOption(command))
    .option('--live', 'the mesh that runs here, instead of files')
    .option('--state <directory>', 'the state of the mesh that runs', DEFAULT_STATE)
    .option('--strict', `end with ${EXIT.findings} for warnings too`)
    .addHelpText('after', HELP)
    .action(async (options: CheckOptions) => {
      const findings = options.live === true ? await checkLive(options) : await checkFiles(options)
      const { error, warning } = countFindings(findings)
      if (error > 0 || (options.strict === true && warning > 0)) throw new CommandError(EXIT.findings)
    })
}

const HELP = `
Examples:
  hauberk check -f samples/shop            what is wrong, where, and what would be right
  hauberk check -f policies -f routes -o json
  hauberk check -f . --strict              in CI: warnings count too
  hauberk check --live                     does everybody obey what the files say, and with which certificate

Each finding has a number, which docs/issues.md explains.
Exit codes: 0 nothing of severity error, 1 failed, 2 wrong usage, 79 there are errors (with --strict: or warnings).`

async function checkFiles({ file, output }: CheckOptions): Promise<readonly Finding[]> {
  if (file === undefined) {
    throw new CommandError(EXIT.usage, 'hauberk check: say which files with -f, or --live for the mesh that runs here')
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
  return findings
}

async function checkLive({ file, state, output }: CheckOptions): Promise<readonly Finding[]> {
  if (file !== undefined) throw new CommandError(EXIT.usage, 'hauberk check: either -f or --live')
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
    process.stdout.write(`${formatLive(mesh, paint, nowMs)}\n${findingsText(findings, looked, paint)}`)
  }
  return findings
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
