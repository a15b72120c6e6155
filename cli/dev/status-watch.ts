import { existsSync, type FSWatcher, watch } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { describeIssue, type Issue } from '../../model/result.ts'
import type { StatusReport } from '../../operator/status/report.ts'

/** What is wrong, and what no longer is, since the last time that something was told. */
export interface IssueChanges {
  /** `file`: the files are not understood, and what they said before is in force. `resource`: it is understood, and wrong. */
  readonly kind: 'file' | 'resource'
  readonly appeared: readonly Issue[]
  /** Only where nothing is wrong any more: one mistake that took the place of another mended nothing. */
  readonly gone: readonly Issue[]
}

/**
 * Follows the status file of an operator and tells which mistakes appear in it and which go. `known` are those that were
 * told already.
 */
export function watchStatus(
  file: string,
  known: readonly Issue[],
  onChange: (changes: IssueChanges) => void,
): { close(): void } {
  const told = { file: byText([]), resource: byText(known) }
  let work = Promise.resolve()
  let isClosed = false
  const compare = (kind: IssueChanges['kind'], issues: readonly Issue[], wrong: ReadonlySet<string>) => {
    const before = told[kind]
    const now = byText(issues)
    told[kind] = now
    const appeared = [...now].flatMap(([text, issue]) => (before.has(text) ? [] : [issue]))
    const gone = [...before].flatMap(([text, issue]) =>
      now.has(text) || wrong.has(placeOf(issue)) || isRemoved(issue) ? [] : [issue],
    )
    if (appeared.length > 0 || gone.length > 0) onChange({ kind, appeared, gone })
  }
  const look = async () => {
    const report = await readStatus(file)
    if (report === undefined || isClosed) return
    const ofResources = report.resources.flatMap(({ issues }) => issues)
    const wrong = new Set([...report.fileIssues, ...ofResources].map(placeOf))
    compare('file', report.fileIssues, wrong)
    compare('resource', ofResources, wrong)
  }
  const watcher: FSWatcher = watch(dirname(file), (_event, name) => {
    if (name === basename(file)) work = work.then(look)
  })
  watcher.on('error', () => {})
  work = work.then(look)
  return {
    close() {
      isClosed = true
      watcher.close()
    },
  }
}

function placeOf({ location, resource }: Issue): string {
  return location?.file ?? resource ?? ''
}

/** What is wrong with a file that is no more is not mended. */
function isRemoved({ location }: Issue): boolean {
  return location !== undefined && !existsSync(location.file)
}

async function readStatus(file: string): Promise<StatusReport | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as StatusReport
  } catch {
    return undefined
  }
}

function byText(issues: readonly Issue[]): ReadonlyMap<string, Issue> {
  return new Map(issues.map((issue) => [describeIssue(issue), issue]))
}
