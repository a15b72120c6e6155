/**
 * `node tools/console-blocks.ts FILE...`: runs every `$ hauberk ...` in the `console` blocks of these pages and writes down
 * what it printed. With `--check` it writes nothing and fails where a page promises something else.
 */
import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'

const ROOT = join(import.meta.dirname, '..')

const BLOCK = /^```console\n([\s\S]*?)^```$/gm

/** A page with the output of each of its commands as it is now. Commands run in the repository, one after the other. */
export async function renderPage(page: string): Promise<string> {
  const outputs = new Map<string, string>()
  for (const [, block = ''] of page.matchAll(BLOCK)) {
    for (const command of commandsIn(block)) {
      if (!outputs.has(command)) outputs.set(command, await outputOf(command))
    }
  }
  return page.replaceAll(BLOCK, (_, block: string) => {
    const parts = commandsIn(block).map((command) => `$ ${command}\n${outputs.get(command)}`)
    return `\`\`\`console\n${parts.join('\n')}\`\`\``
  })
}

function commandsIn(block: string): readonly string[] {
  return block.split('\n').flatMap((line) => (line.startsWith('$ ') ? [line.slice(2)] : []))
}

/** Words may be in single quotes; there is no other shell in it. */
function outputOf(command: string): Promise<string> {
  const [program, ...args] = [...command.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare ?? '')
  if (program !== 'hauberk') throw new Error(`a page may run hauberk only, not ${program}`)
  return new Promise((resolve) => {
    const options = { cwd: ROOT, env: { PATH: '/usr/bin:/bin' }, timeout: 60_000 }
    execFile(process.execPath, [join(ROOT, 'bin', 'hauberk.mjs'), ...args], options, (error, stdout, stderr) => {
      const code = typeof error?.code === 'number' ? error.code : 0
      resolve(`${stdout}${stderr}${code === 0 ? '' : `[exit code ${code}]\n`}`)
    })
  })
}

async function main(args: readonly string[]): Promise<void> {
  const checkOnly = args.includes('--check')
  for (const file of args.filter((arg) => arg !== '--check')) {
    const page = readFileSync(file, 'utf8')
    const rendered = await renderPage(page)
    if (rendered === page) continue
    if (!checkOnly) writeFileSync(file, rendered)
    else {
      process.stderr.write(
        `${relative(ROOT, file)} shows other output than its commands print: run tools/console-blocks.ts\n`,
      )
      process.exitCode = 1
    }
  }
}

if (import.meta.main) await main(process.argv.slice(2))
