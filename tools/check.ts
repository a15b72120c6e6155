/**
 * `npm run check`: everything that can be said about the sources without running them, in seconds.
 *
 * `--write` formats, applies safe fixes and regenerates generated files before it looks.
 */
import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { browserSources, bundleForBrowser } from './browser-bundle.ts'
import { compareDenials } from './denials.ts'
import { checkImportGraph, readSourceTree } from './import-graph.ts'
import { runSteps, type Step, type StepResult } from './progress.ts'
import { forbiddenWords } from './words.ts'

const ROOT = join(import.meta.dirname, '..')
const exec = promisify(execFile)

async function main(args: readonly string[]): Promise<boolean> {
  const unknown = args.filter((arg) => arg !== '--write')
  if (unknown.length > 0) {
    process.stderr.write(`unknown argument ${unknown[0]}\nusage: npm run check [-- --write]\n`)
    process.exitCode = 2
    return false
  }
  if (args.includes('--write') && !(await runSteps([generated([]), lint(['--write'])], process.stdout))) return false
  const tree = readSourceTree(ROOT)
  return runSteps(
    [
      { name: 'types', run: () => runNode('node_modules/typescript/bin/tsc', ['--noEmit', '-p', '.']) },
      lint([]),
      {
        name: 'import graph',
        run: () => checkImportGraph(tree).map(({ file, line, message }) => `${file}:${line} ${message}`),
      },
      { name: 'runs in a browser', run: () => bundleForBrowser(ROOT, browserSources(tree.keys())) },
      generated(['--check']),
      { name: 'docs', run: () => documentation(tree) },
      { name: 'words', run: words },
    ],
    process.stdout,
  )
}

function lint(flags: readonly string[]): Step {
  const biome = 'node_modules/@biomejs/biome/bin/biome'
  return {
    name: 'lint and format',
    run: () => runNode(biome, ['check', '--error-on-warnings', '--no-errors-on-unmatched', ...flags]),
  }
}

/** CRDs and reference, from the rooms' schemas. */
function generated(flags: readonly string[]): Step {
  const script = 'tools/generate.ts'
  return {
    name: 'generated files',
    run: () => (existsSync(join(ROOT, script)) ? runNode(script, flags) : []),
  }
}

function documentation(tree: ReadonlyMap<string, string>): StepResult {
  const denials = join(ROOT, 'docs', 'denials.md')
  return existsSync(denials) ? compareDenials(tree, readFileSync(denials, 'utf8')) : []
}

async function words(): Promise<StepResult> {
  const { stdout } = await exec('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: ROOT,
    maxBuffer: 64 * 1024 * 1024,
  })
  const files = stdout.split('\0').filter((file) => file !== '' && TEXT.test(file) && existsSync(join(ROOT, file)))
  return files.flatMap((file) =>
    forbiddenWords(readFileSync(join(ROOT, file), 'utf8')).map((found) => `${file}:${found}`),
  )
}

const TEXT = /(?:^|[/.])(?:ts|js|mjs|cjs|json|ya?ml|md|sh|html|css|txt|run|LICENSE|Dockerfile|npmrc|gitignore)$/

async function runNode(script: string, args: readonly string[]): Promise<StepResult> {
  try {
    await exec(process.execPath, [script, ...args], { cwd: ROOT, maxBuffer: 64 * 1024 * 1024 })
    return []
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { readonly stdout?: string; readonly stderr?: string }
    const output = `${stdout}${stderr}`.trim()
    return [output === '' ? String(error) : output]
  }
}

if (!(await main(process.argv.slice(2)))) process.exitCode ||= 1
