/**
 * Writes what is made from the sources: `crds/` and the chart's copy of it, the chart's dashboards, and `docs/security-tests.md` from the names of
 * the tests. With `--check` it writes nothing and fails where a file would change.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { customResourceDefinitions } from '../operator/crds/custom-resource-definitions.ts'
import { SECTIONS } from '../policies/sections.ts'
import { dashboardFiles } from './dashboards.ts'
import { readRowTests, threatReport } from './threats.ts'

const ROOT = join(import.meta.dirname, '..')

/** For people, and for Helm, which reads nothing outside of a chart. */
const CRD_FOLDERS = ['crds', 'charts/hauberk/files/crds']

const HEADER = '# Generated from the sources by `npm run check -- --write`. Changes here are overwritten.\n'

function generatedFiles(): ReadonlyMap<string, string> {
  const files = new Map<string, string>()
  for (const crd of customResourceDefinitions(SECTIONS)) {
    const { name } = crd['metadata'] as { readonly name: string }
    // kubectl and Helm read YAML 1.1, where a bare `Off`, `n` or `y` is a boolean.
    const text = HEADER + stringify(crd, { version: '1.1', lineWidth: 120, aliasDuplicateObjects: false })
    for (const folder of CRD_FOLDERS) files.set(`${folder}/${name}.yaml`, text)
  }
  for (const [name, text] of dashboardFiles()) files.set(`charts/hauberk/files/dashboards/${name}`, text)
  files.set('docs/security-tests.md', threatReport(readRowTests(ROOT)))
  return files
}

function main(args: readonly string[]): void {
  const checkOnly = args.includes('--check')
  const files = generatedFiles()
  const stale = CRD_FOLDERS.flatMap((folder) => {
    mkdirSync(join(ROOT, folder), { recursive: true })
    return readdirSync(join(ROOT, folder)).map((name) => `${folder}/${name}`)
  }).filter((path) => !files.has(path))
  const problems = stale.map((path) => `${path} is made from nothing any more`)
  if (!checkOnly) for (const path of stale) rmSync(join(ROOT, path))
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
