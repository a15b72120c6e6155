import { type Command, InvalidArgumentError } from 'commander'
import { type Anchor, parseAnchor, type Verification } from '../operator/audit/verify.ts'
import type { StatusReport } from '../operator/status/report.ts'
import { inOrder, localFiles } from './audit/audit-files.ts'
import { verificationText } from './audit/verification-text.ts'
import { verifyFiles } from './audit/verify-files.ts'
import { readMeshFile } from './dev/mesh-file.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { printDocument } from './output/document.ts'
import { addOutputOption, type OutputFormat } from './output-format.ts'
import { painterOf } from './paint.ts'
import { printableIn } from './printable.ts'
import { askAdmin, DEFAULT_STATE } from './running-mesh.ts'

interface VerifyOptions {
  readonly output: OutputFormat
  readonly mixed?: true
  readonly anchor: readonly Anchor[]
  readonly state: string
}

/** `hauberk audit`: who changed what, and whether that was changed since. */
export function defineAudit(command: Command): void {
  command.addHelpText('after', EXAMPLES)
  addOutputOption(command.command('verify'))
    .description('Say whether an audit log is as it was written: nothing changed, taken out, put in or moved.')
    .argument('[file...]', `audit logs, older ones and the newest; "-" is what is piped in (default: those in --state)`)
    .option('--mixed', 'other lines stand between the records: it is a log that was printed')
    .option('--anchor <number:hash>', 'a record that is known to have been written; may be given again', addAnchor, [])
    .option(
      '--state <directory>',
      'of the mesh of this machine whose log is meant where no file is named',
      DEFAULT_STATE,
    )
    .addHelpText('after', VERIFY_HELP)
    .action(verify)
}

const EXAMPLES = `
Examples:
  hauberk audit verify                              the log of the mesh of this machine
  hauberk audit verify audit.log.2 audit.log.1 audit.log
  kubectl logs -n hauberk-system deploy/hauberk-operator | hauberk audit verify --mixed -`

const VERIFY_HELP = `
Whoever can write a file can also cut records off its end, and nothing that is left tells: keep the anchor that this prints, or a
copy of the log, elsewhere, and name it the next time. Where the mesh of this machine runs, its operator names its last record.
docs/audit.md says what stands in a record.
Exit codes: 0 everything holds, 1 failed, 2 wrong usage, 79 something does not.`

function addAnchor(text: string, before: readonly Anchor[]): readonly Anchor[] {
  const anchor = parseAnchor(text)
  if (anchor === undefined) throw new InvalidArgumentError('It is a number, a colon and 64 hex digits.')
  return [...before, anchor]
}

async function verify(named: readonly string[], { output, mixed, anchor, state }: VerifyOptions): Promise<void> {
  // First the anchor, then the file: what is anchored is in it by then.
  const anchors = named.length === 0 ? [...anchor, ...(await anchorOfRunning(state))] : anchor
  const files = named.length === 0 ? await localFiles(state) : inOrder(named)
  const verification = await verifyFiles(files, { isMixed: mixed === true, anchors })
  print(verification, output)
  if (verification.brokenCount > 0) throw new CommandError(EXIT.findings)
  if (verification.chains.length === 0)
    throw new CommandError(EXIT.findings, 'there is no record of an audit log in it')
}

/** What the operator of a mesh that runs has written last. */
async function anchorOfRunning(state: string): Promise<readonly Anchor[]> {
  const mesh = await readMeshFile(state)
  if (mesh === undefined) return []
  const answer = await askAdmin('the operator', mesh.operator.admin, '/status').catch(() => undefined)
  const end = answer?.ok === true ? (answer.body as StatusReport).audit : undefined
  return end === undefined ? [] : [end]
}

function print(verification: Verification, output: OutputFormat): void {
  if (output !== 'table') return printDocument(verification, output, process.stdout)
  process.stdout.write(verificationText(printableIn(verification), painterOf(process.stdout)))
}
