import type { Command } from 'commander'
import type { StatusReport } from '../operator/status/report.ts'
import { addMeshOptions, chooseMesh, type MeshFlags, WHICH_MESH } from './choose-mesh.ts'
import { askLeader } from './cluster/ask-leader.ts'
import { elsewhere } from './cluster/pods.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { printDocument } from './output/document.ts'
import { addOutputOption, type OutputFormat } from './output-format.ts'
import { painterOf } from './paint.ts'
import { printableIn } from './printable.ts'
import { askAdmin, findRunningMesh } from './running-mesh.ts'
import { ofNamespace } from './status/of-namespace.ts'
import { formatStatus } from './status/status-text.ts'

interface StatusOptions extends MeshFlags {
  readonly output: OutputFormat
}

/** `hauberk status`: which policies are in force, and who obeys them. */
export function defineStatus(command: Command): void {
  addMeshOptions(addOutputOption(command))
    .addHelpText('after', HELP)
    .action(async (options: StatusOptions) => {
      const { report, namespace } = await askMesh(options)
      const shown = namespace === undefined ? report : ofNamespace(report, namespace)
      if (options.output !== 'table') printDocument(shown, options.output, process.stdout)
      else process.stdout.write(formatStatus(printableIn(shown), painterOf(process.stdout)))
      if (shown.workloads.length === 0) process.stderr.write(`there is no workload${elsewhere(namespace)}\n`)
    })
}

const HELP = `
Examples:
  hauberk status -n shop        policies and workloads of a namespace: accepted, in force, obeyed by whom
  hauberk status -A -o json

${WHICH_MESH}

It tells what the leading operator knows; hauberk check judges it, and hauberk certs shows certificates.
Exit codes: 0 told, 1 failed, 2 wrong usage.`

interface Told {
  readonly report: StatusReport
  /** Undefined: all of them. */
  readonly namespace: string | undefined
}

async function askMesh(flags: MeshFlags): Promise<Told> {
  const mesh = await chooseMesh(flags)
  if (mesh.kind === 'local') {
    const { operator } = await findRunningMesh(mesh.state)
    const answer = await askAdmin('the operator', operator.admin, '/status')
    if (!answer.ok) throw new CommandError(EXIT.failure, `the operator cannot be asked: it answers ${answer.status}`)
    return { report: answer.body as StatusReport, namespace: undefined }
  }
  const { cluster } = mesh
  try {
    return { report: await askLeader(cluster), namespace: cluster.namespace }
  } finally {
    cluster.close()
  }
}
