/**
 * `node images/keep-packages.ts FOLDER`: takes every package out of package.json but those that the sources of a folder may
 * import, so that `npm prune` leaves what those need.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { RULES } from '../tools/import-rules.ts'

const folder = process.argv[2] ?? ''
const rule = RULES[folder]
if (rule === undefined) throw new Error(`there is no rule for ${folder}`)
const {
  dependencies,
  devDependencies: _,
  optionalDependencies: __,
  ...rest
} = JSON.parse(readFileSync('package.json', 'utf8')) as Record<string, Record<string, string>>
const kept = Object.entries(dependencies ?? {}).filter(([name]) => rule.packages.includes(name))
writeFileSync('package.json', `${JSON.stringify({ ...rest, dependencies: Object.fromEntries(kept) }, null, 2)}\n`)
