#!/usr/bin/env node
// `npm start`: the shop on a mesh of this machine; `npm start -- --with NAME` adds samples/NAME to it. What else is said
// goes to `hauberk dev`. Plain JavaScript for old versions of Node, as bin/hauberk.mjs, which comes next.
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const samples = dirname(fileURLToPath(import.meta.url))
const files = ['samples/shop']
const rest = []
const args = process.argv.slice(2)
while (args.length > 0) {
  const arg = args.shift()
  const name = arg === '--with' ? (args.shift() ?? '') : /^--with=(.*)$/.exec(arg)?.[1]
  if (name === undefined) {
    rest.push(arg)
    continue
  }
  // A sample that can be added says so by saying what it needs first.
  const prepare = join(samples, name, 'prepare.mjs')
  if (!/^[a-z-]+$/.test(name) || !existsSync(prepare)) {
    process.stderr.write(`npm start: there is no sample '${name}' to start the shop with. There is: spring\n`)
    process.exit(2)
  }
  const problem = (await import(pathToFileURL(prepare).href)).prepare()
  if (problem !== undefined) {
    process.stderr.write(`npm start: ${problem}\n`)
    process.exit(1)
  }
  files.push(`samples/${name}`)
}
process.chdir(join(samples, '..'))
process.argv.splice(2, Infinity, 'dev', ...files.flatMap((file) => ['-f', file]), ...rest)
await import('../bin/hauberk.mjs')
