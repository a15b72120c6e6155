import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { after, before, type TestContext, test } from 'node:test'
import { readMeshFile } from './dev/mesh-file.ts'
import { isRunning, type ProcessMark } from './dev/process-tree.ts'
import { ask, copySmallFiles, type SmallFiles, until } from './dev/testing/small-mesh.ts'
import { runHauberk } from './testing/run-hauberk.ts'

let files: SmallFiles

before(async () => {
  files = await copySmallFiles()
})

after(() => files?.cleanUp())

/** `hauberk dev`, ready. */
async function startDev(t: TestContext, ...options: readonly string[]) {
  const args = [
    'dev',
    '-f',
    files.directory,
    '--state',
    files.stateDirectory,
    '--https-port',
    '0',
    '--http-port',
    '0',
    ...options,
  ]
  const main = join(import.meta.dirname, 'main.ts')
  const child: ChildProcess = spawn(process.execPath, [main, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: '/usr/bin:/bin' },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  t.after(async () => {
    const insist = setInterval(() => child.kill('SIGINT'), 200)
    child.kill('SIGINT')
    await exited
    clearInterval(insist)
  })
  await until('it is ready', () => output.includes('Ready in') || child.exitCode !== null || undefined, 150_000)
  assert.equal(child.exitCode, null, output)
  const mesh = await readMeshFile(files.stateDirectory)
  assert.ok(mesh)
  const { localPort = 0 } = mesh.listeners[0] ?? {}
  const children = (): Promise<readonly ProcessMark[]> =>
    readMeshFile(files.stateDirectory).then((found) => Object.values(found?.children ?? {}))
  const gateway = { httpsPort: localPort, ca: await readFile(mesh.trustAnchorsFile, 'utf8') }
  return { child, exited, gateway, children, output: () => output }
}

test('on a pipe it prints plain lines: the steps, where everything is, and each decision; Ctrl-C ends it all', async (t) => {
  const { child, exited, gateway, children, output } = await startDev(t)
  assert.equal((await ask(gateway, '/', { token: files.token })).status, 200)
  assert.equal((await ask(gateway, '/')).status, 401)
  await until('both were told', () => output().includes('token-missing') || undefined)
  const marks = await children()
  child.kill('SIGINT')
  child.kill('SIGTERM')
  assert.deepEqual(await exited, [0, null])
  assert.deepEqual(marks.filter(isRunning), [])
  const told = output()
  assert.match(told, /^ ✓ resources \(\d+\) +\d+ms\n ✓ secrets \(1 made\) and ports +\d+ms\n/)
  assert.match(told, /^ ✓ 2 sidecars +\d+ms$/m)
  assert.match(told, /^ Gateway {7}https:\/\/small\.localhost:\d+$/m)
  assert.match(told, /^ Trust anchor {2}\S+\/ca\.crt$/m)
  assert.match(told, /^ curl -i --cacert \S+\/ca\.crt https:\/\/small\.localhost:\d+\/$/m)
  assert.match(
    told,
    /^\d\d:\d\d:\d\d\.\d{3} {2}gateway-small-door \(ann\) → small\/front +GET \/ +200 readers {2}\d+\.\d ms$/m,
  )
  assert.match(told, /^\S+ {2}gateway-small-door → small\/front +GET \/ +401 token-missing {2}/m)
  assert.ok(!told.includes('\u001b'), 'no escape sequences')
})

test('killed by force it leaves no process, and starts again at once on what it knew', async (t) => {
  const { child, exited, children } = await startDev(t)
  const marks = await children()
  assert.ok(marks.length >= 6)
  const port = (await readMeshFile(files.stateDirectory))?.listeners[0]?.localPort
  child.kill('SIGKILL')
  await exited
  const again = await startDev(t)
  assert.deepEqual(marks.filter(isRunning), [])
  assert.equal(again.gateway.httpsPort, port)
  assert.equal((await ask(again.gateway, '/', { token: files.token })).status, 200)
})

test('a second Ctrl-C does not wait for a request that does not end', async (t) => {
  const { child, exited, gateway, children, output } = await startDev(t, '--quiet')
  const marks = await children()
  const hanging = ask(gateway, '/hang', { token: files.token })
  await until('it is in flight', async () => {
    const status = await readMeshFile(files.stateDirectory)
    const admin = status?.proxies.find(({ workload }) => workload === 'small/front')?.admin
    const metrics = await (await fetch(`${admin?.url}/metrics`, { headers: { connection: 'close' } })).text()
    return /in_flight[^\n]* [1-9]/.test(metrics) || undefined
  })
  child.kill('SIGINT')
  await until('it drains', () => output().includes('Requests in flight finish first') || undefined)
  // Two at once are one: npm passes on what the terminal has sent to everybody already.
  const again = setInterval(() => child.kill('SIGINT'), 200)
  t.after(() => clearInterval(again))
  assert.deepEqual(await exited, [130, null])
  assert.equal((await hanging).status, 0)
  assert.deepEqual(marks.filter(isRunning), [])
})

test('a port that is taken is named, with the flag that chooses another', async (t) => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.after(() => other.close())
  const { port } = other.address() as { port: number }
  const args = [
    'dev',
    '-f',
    files.directory,
    '--state',
    files.stateDirectory,
    '--http-port',
    '0',
    '--https-port',
    String(port),
  ]
  const { code, stderr } = await runHauberk(args, { cwd: files.directory })
  assert.equal(code, 1)
  assert.match(stderr, new RegExp(`port ${port} is taken by another program.*--https-port`))
  connect(port).destroy()
})

test('mistakes in files are findings, mistakes in the command line are wrong usage, and help is neither', async (t) => {
  const broken = await copySmallFiles()
  t.after(() => broken.cleanUp())
  await broken.save('back.yaml', 'apiVersion: v1\nkind: Service\nmetadata: {name: x, name')
  const run = (...args: readonly string[]) => runHauberk(args, { cwd: broken.directory })

  const mistaken = await run('dev', '-f', broken.directory, '--state', broken.stateDirectory)
  assert.equal(mistaken.code, 79)
  assert.match(mistaken.stderr, /back\.yaml:3:\d+: /)
  assert.equal((await run('dev')).code, 2)
  const usage = await run('dev', '-f', broken.directory, '--leaf-lifetime', '5s')
  assert.equal(usage.code, 2)
  assert.match(usage.stderr, /--leaf-lifetime.*30s or more/)
  const help = await run('help', 'dev')
  assert.equal(help.code, 0)
  assert.match(help.stdout, /Examples:\n {2}hauberk dev -f samples\/shop/)
})
