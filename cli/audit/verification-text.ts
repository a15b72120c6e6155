import { formatAnchor, type Verification, type VerifiedChain } from '../../operator/audit/verify.ts'
import type { Paint } from '../paint.ts'
import { formatTable } from '../table.ts'

/** What was found, for people. Texts of records are to be printable already. */
export function verificationText(verification: Verification, paint: Paint): string {
  const { chains, broken, brokenCount, cutAtEnd, unseenAnchors } = verification
  const lines = broken.map(({ file, line, sequence, reason }) => {
    const where = [file !== '' && `${file}:${line}`, sequence !== undefined && `record ${sequence}`]
    return `${paint('red', 'broken')}   ${where.filter((each) => each !== false).join('  ')}: ${reason}`
  })
  if (brokenCount > broken.length) lines.push(`         and ${brokenCount - broken.length} more`)
  if (cutAtEnd !== undefined) {
    const { file, line, bytes } = cutAtEnd
    const what = `the last record is cut after ${bytes} bytes: the operator was killed while it wrote it`
    lines.push(`${paint('yellow', 'cut')}      ${file}:${line}: ${what}`)
  }
  for (const { sequence } of unseenAnchors) {
    lines.push(`${paint('yellow', 'unseen')}   record ${sequence} of an anchor is in an older file`)
  }
  if (lines.length > 0 && chains.length > 0) lines.push('')
  const table = chains.length === 0 ? '' : formatTable(chains, COLUMNS)
  return `${lines.map((line) => `${line}\n`).join('')}${table}${chains.length === 0 ? '' : `\n${summaryOf(verification)}`}`
}

const COLUMNS = [
  { title: 'CHAIN', cell: ({ chain }: VerifiedChain) => chain },
  { title: 'RECORDS', cell: ({ from, end }: VerifiedChain) => `${from} to ${end.sequence}` },
  { title: 'LOST', cell: ({ lost }: VerifiedChain) => String(lost) },
  { title: 'CUT', cell: ({ cuts }: VerifiedChain) => String(cuts) },
  { title: 'ITS END', cell: ({ isEnded }: VerifiedChain) => (isEnded ? 'the operator ended' : 'open') },
]

function summaryOf({ chains, brokenCount }: Verification): string {
  const anchors = chains.map(({ end }) => `anchor: ${formatAnchor(end)}\n`).join('')
  if (brokenCount > 0) return 'The log is not as it was written.\n'
  const records = chains.reduce((sum, chain) => sum + chain.records, 0)
  const older = chains.filter(({ from }) => from > 1)
  const before = older.length === 0 ? '' : ' Records before the first one here are in older files, or gone.\n'
  return `${records === 1 ? '1 record holds' : `${records} records hold`}.${before === '' ? '\n' : before}${anchors}`
}
