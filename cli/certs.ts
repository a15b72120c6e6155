import type { Command } from 'commander'
import { FileError, readFileCapped } from '../runtime/atomic-file.ts'
import { askForCertificates } from './certs/ask-for-certificates.ts'
import { type CertificateRow, judgeCertificates } from './certs/certificate-row.ts'
import { addMeshOptions, chooseMesh, type MeshFlags, WHICH_MESH } from './choose-mesh.ts'
import type { Cluster } from './cluster/cluster.ts'
import { askIdentity } from './cluster/collect.ts'
import { elsewhere, listMeshedPods } from './cluster/pods.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { printDocument } from './output/document.ts'
import { formatRemaining } from './output/remaining.ts'
import { addOutputOption, type OutputFormat } from './output-format.ts'
import { type Output, type Paint, painterOf } from './paint.ts'
import { printableIn } from './printable.ts'
import { findRunningMesh } from './running-mesh.ts'
import { type Column, formatTable } from './table.ts'

interface CertsOptions extends MeshFlags {
  readonly output: OutputFormat
  readonly ca?: string
}

/** `hauberk certs`: who everybody is, for how long still, and who says so. */
export function defineCerts(command: Command): void {
  addMeshOptions(addOutputOption(command))
    .argument('[file...]', 'certificates in PEM, to be judged as SVIDs')
    .option('--ca <file>', 'roots in PEM that the certificates in files must lead to')
    .addHelpText('after', HELP)
    .action(async (files: readonly string[], options: CertsOptions) => {
      const nowMs = Date.now()
      const { output, ca } = options
      const rows = files.length > 0 ? await rowsOfFiles(files, ca, nowMs) : await rowsOfMesh(options, nowMs)
      print(rows, output, nowMs, process.stdout)
      if (rows.some(({ problem }) => problem !== undefined)) throw new CommandError(EXIT.findings)
    })
}

const HELP = `
Examples:
  hauberk certs                                   everybody of the mesh that runs here, or of a namespace of the cluster
  hauberk certs -A                                everybody of the cluster
  hauberk certs -o json | jq -r '.[].notAfter'
  hauberk certs leaf.pem --ca .hauberk/ca.crt     would the mesh take this certificate, and if not, why

${WHICH_MESH}

Private keys are never read: a file that holds one is refused.
Exit codes: 0 all of them are sound, 1 failed, 2 wrong usage, 79 one is not.`

/** A row, or what stands in its place when a file holds no certificate or a sidecar does not answer. */
type Row = CertificateRow | (Pick<CertificateRow, 'of' | 'problem'> & { readonly kind?: undefined })

async function rowsOfFiles(files: readonly string[], ca: string | undefined, nowMs: number): Promise<readonly Row[]> {
  const roots = ca === undefined ? [] : [await readText(ca)]
  const rows: Row[] = []
  for (const file of files) {
    const judged = judgeCertificates(file, await readText(file), { roots, nowMs })
    rows.push(judged.ok ? judged.row : { of: file, problem: judged.problem })
  }
  return rows
}

const MAX_PEM_BYTES = 1_048_576

async function readText(path: string): Promise<string> {
  try {
    return (await readFileCapped(path, MAX_PEM_BYTES)).toString('utf8')
  } catch (cause) {
    if (cause instanceof FileError) throw new CommandError(EXIT.failure, cause.message, { cause })
    throw cause
  }
}

async function rowsOfMesh(flags: MeshFlags, nowMs: number): Promise<readonly Row[]> {
  const mesh = await chooseMesh(flags)
  if (mesh.kind === 'local') return rowsOfLocalMesh(mesh.state, nowMs)
  try {
    return await rowsOfCluster(mesh.cluster, nowMs)
  } finally {
    mesh.cluster.close()
  }
}

/** A row a certificate of each pod, by pod. */
async function rowsOfCluster(cluster: Cluster, nowMs: number): Promise<readonly Row[]> {
  const pods = await listMeshedPods(cluster, cluster.namespace)
  if (pods.length === 0) process.stderr.write(`there is no pod with a sidecar${elsewhere(cluster.namespace)}\n`)
  const rows = await Promise.all(
    pods.map(async (pod): Promise<readonly Row[]> => {
      const { certificates, silent } = await askIdentity(cluster, pod, nowMs)
      const of = `${pod.namespace}/${pod.name}`
      return silent === undefined ? certificates : [...certificates, { of, problem: silent }]
    }),
  )
  return rows.flat().toSorted(byName)
}

function byName(a: Row, b: Row): number {
  return a.of < b.of ? -1 : a.of > b.of ? 1 : 0
}

async function rowsOfLocalMesh(state: string, nowMs: number): Promise<readonly Row[]> {
  const { proxies } = await findRunningMesh(state)
  const states = await Promise.all(
    proxies.map(({ workload, pod, admin }) => askForCertificates(workload, pod, admin, nowMs)),
  )
  return states
    .flatMap(({ workload, silent, certificates }): readonly Row[] =>
      silent === undefined ? certificates : [...certificates, { of: workload, problem: silent }],
    )
    .toSorted(byName)
}

function print(rows: readonly Row[], format: OutputFormat, nowMs: number, out: Output): void {
  if (format !== 'table') {
    const told = rows.map(({ ...row }) => ('notAfterMs' in row ? withSeconds(row, nowMs) : row))
    return printDocument(told, format, out)
  }
  out.write(formatTable(printableIn(rows), columnsFor(painterOf(out), nowMs)))
}

function withSeconds({ notAfterMs, ...row }: CertificateRow, nowMs: number) {
  return { ...row, remainingSeconds: Math.floor((notAfterMs - nowMs) / 1_000) }
}

function columnsFor(paint: Paint, nowMs: number): readonly Column<Row>[] {
  const cell = (of: (row: CertificateRow) => string) => (row: Row) => (row.kind === undefined ? '' : of(row))
  return [
    { title: 'OF', cell: ({ of }) => of },
    { title: 'NAME', cell: cell(({ name }) => name) },
    { title: 'SERIAL', cell: cell(({ serial }) => shortened(serial)) },
    { title: 'NOT BEFORE', cell: cell(({ notBefore }) => notBefore) },
    { title: 'NOT AFTER', cell: cell(({ notAfter }) => notAfter) },
    { title: 'REMAINING', cell: cell(({ notAfterMs }) => formatRemaining(notAfterMs, nowMs)) },
    { title: 'ISSUER', cell: cell(({ issuer }) => issuer) },
    { title: 'ROOT', cell: cell(({ root }) => (root === undefined ? '' : root.slice(0, SHOWN_FINGERPRINT))) },
    {
      title: 'VERDICT',
      cell: ({ problem }) => (problem === undefined ? paint('green', '✓ sound') : paint('red', `✗ ${problem}`)),
    },
  ]
}

/** Characters of a fingerprint that tell two roots of a mesh apart; the whole is in -o json. */
const SHOWN_FINGERPRINT = 11
const SHOWN_SERIAL = 12

function shortened(serial: string): string {
  return serial.length > SHOWN_SERIAL ? `${serial.slice(0, SHOWN_SERIAL)}…` : serial
}
