import { type Command, Option } from 'commander'
import { parseDuration } from '../model/duration.ts'
import type { RotationStatus } from '../operator/identity/rotation/root-rotation.ts'
import type { StatusReport } from '../operator/status/report.ts'
import { followRotation } from './ca/follow-rotation.ts'
import { raiseRootGeneration, readAuthority } from './ca/root-generation.ts'
import { addMeshOptions, chooseMesh, type MeshFlags, WHICH_MESH } from './choose-mesh.ts'
import { askLeader } from './cluster/ask-leader.ts'
import { type Cluster, openCluster } from './cluster/cluster.ts'
import { addClusterOptions, type ClusterFlags } from './cluster/flags.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { printDocument } from './output/document.ts'
import { formatRemaining } from './output/remaining.ts'
import { addOutputOption, type OutputFormat } from './output-format.ts'
import { printable, printableIn } from './printable.ts'
import { askAdmin, findRunningMesh } from './running-mesh.ts'
import { formatTable } from './table.ts'

/** `hauberk ca`: the roots of a mesh, and how one is replaced. */
export function defineCa(command: Command): void {
  command.addHelpText('after', HELP)
  addMeshOptions(addOutputOption(command.command('status')))
    .description('Show the roots of the mesh, and how far the replacement of one has come.')
    .addHelpText('after', `\n${WHICH_MESH}\n\nExit codes: 0 told, 1 failed, 2 wrong usage.`)
    .action(showStatus)
  addClusterOptions(command.command('rotate'))
    .description('Have the root replaced, on a cluster: raises spec.certificates.rootGeneration of MeshConfig by one.')
    .addOption(new Option('--wait [duration]', 'follow every step, until the old root is retired').preset(DEFAULT_WAIT))
    .addHelpText('after', ROTATE_HELP)
    .action(rotate)
}

const DEFAULT_WAIT = '30m'

const HELP = `
Examples:
  hauberk ca status               which roots there are, and who is waited for while one is replaced
  hauberk ca rotate --wait        have the root replaced, and see it through`

const ROTATE_HELP = `
A new root is made and trusted everywhere, then it signs, then the old one is retired: each step when every sidecar has followed
the one before. No request is lost, and nothing is to be restarted. It takes get and patch on MeshConfigs; docs/identity.md tells more.
In the mesh of this machine it is the same field of the MeshConfig in its files.
Exit codes: 0 begun (with --wait: done), 1 failed or not done in time, 2 wrong usage.`

async function showStatus({ output, ...flags }: MeshFlags & { readonly output: OutputFormat }): Promise<void> {
  const authority = await askAuthority(flags)
  if (output !== 'table') return printDocument(authority, output, process.stdout)
  process.stdout.write(formatAuthority(printableIn(authority), Date.now()))
}

async function askAuthority(flags: MeshFlags): Promise<RotationStatus> {
  const mesh = await chooseMesh(flags)
  let report: StatusReport | undefined
  if (mesh.kind === 'local') {
    const { operator } = await findRunningMesh(mesh.state)
    const answer = await askAdmin('the operator', operator.admin, '/status')
    if (answer.ok) report = answer.body as StatusReport
  } else {
    try {
      // What MeshConfig says needs no program in an operator's container; where there is none, its leader tells.
      const written = await readAuthority(mesh.cluster.client)
      if (written !== undefined) return written
      report = await askLeader(mesh.cluster)
    } finally {
      mesh.cluster.close()
    }
  }
  if (report?.certificateAuthority !== undefined) return report.certificateAuthority
  throw new CommandError(EXIT.failure, 'the operator does not say how its roots stand')
}

function formatAuthority({ phase, roots, waitingFor, waiting, problem }: RotationStatus, nowMs: number): string {
  const table = formatTable(roots, [
    { title: 'ROOT', cell: ({ fingerprint }) => fingerprint },
    { title: 'USE', cell: ({ use }) => use },
    { title: 'NOT AFTER', cell: ({ notAfter }) => notAfter },
    { title: 'REMAINING', cell: ({ notAfter }) => formatRemaining(Date.parse(notAfter), nowMs) },
  ])
  const more = waiting > waitingFor.length ? ` and ${waiting - waitingFor.length} more` : ''
  const lines = [
    `phase: ${phase}`,
    ...(waiting === 0 ? [] : [`waiting for: ${waitingFor.join(', ')}${more}`]),
    ...(problem === undefined ? [] : [`problem: ${problem}`]),
  ]
  return `${table}\n${lines.join('\n')}\n`
}

async function rotate({ wait, ...flags }: ClusterFlags & { readonly wait?: string }): Promise<void> {
  const waitMs = wait === undefined ? undefined : durationOf(wait)
  const cluster: Cluster = await openCluster(flags)
  try {
    const { from, to, signing } = await raiseRootGeneration(cluster.client)
    process.stdout.write(`MeshConfig default: rootGeneration ${from} → ${to}\n`)
    if (waitMs === undefined) {
      process.stdout.write('The leading operator replaces the root step by step: see hauberk ca status\n')
      return
    }
    await followRotation({
      client: cluster.client,
      signing,
      waitMs,
      say: (line) => process.stdout.write(`${printable(line)}\n`),
    })
  } finally {
    cluster.close()
  }
}

function durationOf(text: string): number {
  const parsed = parseDuration(text)
  if (!parsed.ok) throw new CommandError(EXIT.usage, `hauberk ca rotate: --wait ${text} is no duration, such as 10m`)
  return parsed.value
}
