/**
 * Writes what is made from the sources: `crds/`, and `docs/security-tests.md` from the names of the tests. With `--check` it writes nothing and fails where a file would change.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { customResourceDefinitions } from '../operator/crds/custom-resource-definitions.ts'
import { SECTIONS } from '../policies/sections.ts'
import { readRowTests, threatReport } from './threats.ts'

const ROOT = join(import.meta.dirname, '..')
const HEADER = '# Generated from the sources by `npm run check -- --write`. Changes here are overwritten.\n'

function generatedFiles(): ReadonlyMap<string, string> {
  const files = new Map<string, string>()
  for (const crd of customResourceDefinitions(SECTIONS)) {
    const { name } = crd['metadata'] as { readonly name: string }
    files.set(`crds/${name}.yaml`, HEADER + stringify(crd, { lineWidth: 120, aliasDuplicateObjects: false }))
  }
  files.set('docs/security-tests.md', threatReport(readRowTests(ROOT)))
  return files
}

function main(args: readonly string[]): void {
  const checkOnly = args.includes('--check')
  const files = generatedFiles()
  mkdirSync(join(ROOT, 'crds'), { recursive: true })
  const stale = readdirSync(join(ROOT, 'crds')).filter((name) => !files.has(`crds/${name}`))
  const problems = stale.map((name) => `crds/${name} is made from nothing any more`)
  if (!checkOnly) for (const name of stale) rmSync(join(ROOT, 'crds', name))
  for (const [path, content] of files) {
    let there: string | undefined
    try {
      there = readFileSync(join(ROOT, path), 'utf8')
    } catch {
      there = undefined
    }
    if (there === content) continue
    if (checkOnly) problems.push(`${path} is not what the sources make: run \`npm run check -- --write\``)
    else writeFileSync(join(ROOT, path), content)
  }
  if (!checkOnly || problems.length === 0) return
  process.stderr.write(`${problems.join('\n')}\n`)
  process.exitCode = 1
}

main(process.argv.slice(2))
