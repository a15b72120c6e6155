import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { CommandError, EXIT } from '../exit-code.ts'

/** The audit logs of the mesh with this state directory, the oldest first. */
export async function localFiles(state: string): Promise<readonly string[]> {
  const directory = join(state, 'audit')
  const names = await readdir(directory).catch(() => [])
  const found = names.filter((name) => /^audit\.log(?:\.\d{1,4})?$/.test(name)).map((name) => join(directory, name))
  if (found.length > 0) return inOrder(found)
  const hint = 'name its files, or start a mesh with hauberk dev; docs/audit.md says where a cluster has it'
  throw new CommandError(EXIT.failure, `there is no audit log in ${directory}: ${hint}`)
}

/** Of one log the older files first, `audit.log.2` before `audit.log.1` before `audit.log`; different logs as they were named. */
export function inOrder(files: readonly string[]): readonly string[] {
  const logs = new Map<string, { readonly file: string; readonly age: number }[]>()
  for (const file of files) {
    const [, log = file, age = '0'] = /^(.*?)\.(\d{1,4})$/.exec(file) ?? []
    const known = logs.get(log) ?? []
    known.push({ file, age: Number(age) })
    logs.set(log, known)
  }
  return [...logs.values()].flatMap((log) => log.toSorted((a, b) => b.age - a.age).map(({ file }) => file))
}
