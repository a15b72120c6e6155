import assert from 'node:assert/strict'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createVerifier } from '../../operator/audit/verify.ts'
import type { Decision } from './decision.ts'
import { type LocalMesh, MeshFilesError, startLocalMesh } from './local-mesh.ts'
import type { MeshEvent } from './mesh-event.ts'
import { readMeshFile } from './mesh-file.ts'
import { NotReadyError } from './patience.ts'
import { isRunning, markOf, type ProcessMark } from './process-tree.ts'
import { StateDirectoryError } from './state.ts'
import { ask, copySmallFiles, type SmallFiles, until } from './testing/small-mesh.ts'

let files: SmallFiles
let mesh: LocalMesh
let gateway: { readonly httpsPort: number; readonly ca: string }
const decisions: Decision[] = []
const events: MeshEvent[] = []

before(async () => {
  files = await copySmallFiles()
  mesh = await startLocalMesh({
    files: [files.directory],
    stateDirectory: files.stateDirectory,
    httpsPort: 0,
    httpPort: 0,
    readyMs: 150_000,
    watch: true,
    onEvent: (event) => events.push(event),
    onDecision: (decision) => decisions.push(decision),
  })
  gateway = { httpsPort: mesh.httpsPort, ca: await readFile(mesh.caFile, 'utf8') }
})

after(async () => {
  await mesh?.stop()
  await files?.cleanUp()
})

const get = (path: string, token?: string) => ask(gateway, path, token === undefined ? {} : { token })

test('a request is answered as its policies say, from the first one on', async () => {
  assert.deepEqual(await get('/', files.token), { status: 200, body: 'front' })
  assert.equal((await get('/')).status, 401)
  assert.equal((await ask(gateway, '/', { method: 'POST', token: files.token })).status, 403)
  assert.equal((await get('/back', files.token)).status, 403)
})

test('a service calls another one through its sidecar, and is known by its certificate', async () => {
  assert.deepEqual(JSON.parse((await get('/call', files.token)).body), { status: 200, body: 'back' })
  const told = await until('the call was told', () => decisions.find(({ workload }) => workload === 'small/back'))
  const call = await until('the call was told', () => decisions.find(({ rule }) => rule === 'front-only'))
  assert.deepEqual([told.workload, call.caller, call.status], ['small/back', 'small/front', 200])
})

test('a mounted secret has the value that was made, and follows it when it changes', async () => {
  const word = await mesh.secret('small', 'word', 'word')
  assert.match(word, /^[A-Za-z0-9_-]{32}$/)
  assert.equal((await get('/secret', files.token)).body, word)
  await writeFile(join(files.stateDirectory, 'secrets/small/word/word'), 'another')
  assert.equal((await get('/secret', files.token)).body, 'another')
})

test('T35: whoever does not know the credential of a workload cannot speak through its proxy', async () => {
  const { port, username, password } = mesh.outboundProxyOf('small/front')
  const statusWith = (authorization?: string) =>
    new Promise((resolve, reject) => {
      const headers = { host: 'back.small', ...(authorization && { 'proxy-authorization': authorization }) }
      request({ host: '127.0.0.1', port, path: 'http://back.small/', headers, agent: false }, (response) => {
        response.resume()
        resolve(response.statusCode)
      })
        .on('error', reject)
        .end()
    })
  const basic = (credential: string) => `Basic ${Buffer.from(credential).toString('base64')}`
  assert.equal(await statusWith(), 407)
  assert.equal(await statusWith(basic(`${username}:wrong`)), 407)
  assert.equal(await statusWith(basic(`${username}:${password}`)), 200)
})

test('what is secret in the state directory is for its owner alone', async () => {
  const open: string[] = []
  for (const entry of await readdir(files.stateDirectory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isSymbolicLink() || path.includes('/cache')) continue
    const { mode } = await stat(path)
    if ((mode & 0o077) !== 0 && path !== mesh.caFile) open.push(path)
  }
  assert.deepEqual(open, [])
  assert.equal((await stat(files.stateDirectory)).mode & 0o777, 0o700)
})

test('the running mesh is found by its state directory', async () => {
  const found = await readMeshFile(files.stateDirectory)
  assert.deepEqual(found?.proxies.map(({ workload, role }) => `${role} ${workload}`).sort(), [
    'gateway hauberk-system/gateway-small-door',
    'sidecar small/back',
    'sidecar small/front',
  ])
  const { url, token } = await mesh.adminOf('operator')
  assert.equal(found?.operator.admin.url, url)
  const response = await fetch(`${url}/status`, { headers: { authorization: `Bearer ${token}`, connection: 'close' } })
  assert.equal(response.status, 200)
  await response.body?.cancel()
})

test('a second mesh does not start in the same state directory', async () => {
  await assert.rejects(
    startLocalMesh({ files: [files.directory], stateDirectory: files.stateDirectory, httpsPort: 0, httpPort: 0 }),
    StateDirectoryError,
  )
  assert.equal((await get('/', files.token)).status, 200)
})

test('F12: each process that is killed is started again, and the others keep serving', async () => {
  for (const name of ['sidecar small/front', 'app small/front', 'gateway gateway-small-door']) {
    const before = mesh.children().get(name)
    await mesh.kill(name)
    await until(`${name} serves again`, async () => (await get('/', files.token)).status === 200 || undefined)
    assert.notEqual(mesh.children().get(name), before)
    assert.ok(events.some((event) => event.type === 'ended' && event.name === name))
  }
  await mesh.kill('operator')
  assert.equal((await get('/', files.token)).status, 200)
  await mesh.kill('sidecar small/front')
  await until('it is back without an operator', async () => (await get('/', files.token)).status === 200 || undefined)
  await until('everything is back', () => mesh.isReady() || undefined)
})

test('a policy that is edited comes into force, a broken one changes nothing and says where', async () => {
  const policy = await files.read('front-policy.yaml')
  const statusSoon = (status: number) =>
    until(`the answer is ${status}`, async () => (await get('/', files.token)).status === status || undefined, 20_000)

  await files.save('front-policy.yaml', policy.replace('methods: [GET]', 'methods: [PUT]'))
  await statusSoon(403)
  await files.save('front-policy.yaml', policy.replace('authorization:', 'authorisation:'))
  const broken = await until('the mistake is told', () =>
    events.find((event) => event.type === 'issues' && event.kind === 'file' && event.appeared.length > 0),
  )
  assert.ok(broken.type === 'issues')
  assert.deepEqual(broken.appeared[0]?.location, {
    file: join(files.directory, 'front-policy.yaml'),
    line: 13,
    column: 3,
  })
  assert.equal((await get('/', files.token)).status, 403)
  await files.save('front-policy.yaml', policy)
  await statusSoon(200)
  await until('it is told that it is well', () =>
    events.find((event) => event.type === 'issues' && event.kind === 'file' && event.gone.length > 0),
  )
})

test('a workload that comes while it is watched is started, and one that goes is stopped', async () => {
  const late = (await files.read('back.yaml')).replaceAll('back', 'late').replaceAll('front-only', 'front-too')
  await files.save('late.yaml', late)
  const pid = await until('it runs', () => mesh.children().get('app small/late'))
  await files.save('front.yaml', (await files.read('front.yaml')).replace('http://back.small', 'http://late.small'))
  await until('it is called', async () => {
    const { body } = await get('/call', files.token)
    return body.includes('"late"') || undefined
  })
  const mark = markOf(pid)
  await files.remove('late.yaml')
  await until('it is gone', () => (!isRunning(mark) && !mesh.children().has('sidecar small/late')) || undefined)
  assert.equal((await get('/', files.token)).status, 200)
})

test('what was changed, issued and started is in the audit log, in one chain through the restart of the operator', async () => {
  const path = join(files.stateDirectory, 'audit', 'audit.log')
  const read = async () => (await readFile(path, 'utf8')).trimEnd().split('\n')
  const found = await until('the policy that went is told of', async () => {
    const records = (await read()).map((line) => JSON.parse(line) as Record<string, unknown>)
    const isDeleted = (record: Record<string, unknown>) =>
      record['event.action'] === 'policy-deleted' && record['hauberk.resource.name'] === 'late'
    return records.some(isDeleted) ? records : undefined
  })
  const actions = found.map((record) => record['event.action'])
  assert.equal(actions[0], 'audit-started')
  // It was killed, not told to end: no record says that it did.
  const kills = events.filter((event) => event.type === 'ended' && event.name === 'operator').length
  const starts = actions.filter((action) => action === 'audit-started').length
  assert.deepEqual([starts, actions.includes('audit-ended')], [1 + kills, false])
  const changed = found.find((record) => record['event.action'] === 'policy-changed')
  assert.equal(changed?.['hauberk.resource.name'], 'front')
  assert.match(String(changed?.['file.path']), /front-policy\.yaml:\d+$/)
  const owners = found.filter((record) => record['event.action'] === 'certificate-issued').map(subjectOf)
  for (const name of ['front', 'back', 'late'])
    assert.ok(
      owners.some((owner) => owner.includes(`/sa/${name}`)),
      name,
    )
  const verifier = createVerifier()
  for (const [i, line] of (await read()).entries()) {
    verifier.add({ file: path, line: i + 1, bytes: Buffer.from(line), isWhole: true })
  }
  const { broken, chains } = verifier.result()
  assert.deepEqual([broken, chains.length], [[], 1])
})

function subjectOf(record: Record<string, unknown>): string {
  return String(record['x509.alternative_names'])
}

test('files with mistakes start nothing, and the mistakes have a place', async (t) => {
  const other = await copySmallFiles()
  t.after(() => other.cleanUp())
  await other.save('front-policy.yaml', (await other.read('front-policy.yaml')).replace('allow:', 'alow:'))
  const mounted = (await other.read('front.yaml')).replace('secretName: word', 'secretName: nowhere')
  const starting = () =>
    startLocalMesh({ files: [other.directory], stateDirectory: other.stateDirectory, httpsPort: 0, httpPort: 0 })
  await assert.rejects(starting(), (error) => {
    assert.ok(error instanceof MeshFilesError)
    assert.match(error.message, /front-policy\.yaml:14:5: .*alow: is not a field \(did you mean allow\?\)/)
    return true
  })
  await other.save('front-policy.yaml', await files.read('front-policy.yaml'))
  await other.save('front.yaml', mounted)
  await assert.rejects(
    starting(),
    /front\.yaml:\d+:\d+: Deployment\/small\/front: .* there is no Secret small\/nowhere/,
  )
})

test('an app that does not stay up ends the start, with the end of its log, and nothing is left', async (t) => {
  const other = await copySmallFiles()
  t.after(() => other.cleanUp())
  await other.save('back.yaml', (await other.read('back.yaml')).replace('node app.ts', 'node missing.ts'))
  const marks: ProcessMark[] = []
  const starting = startLocalMesh({
    files: [other.directory],
    stateDirectory: other.stateDirectory,
    httpsPort: 0,
    httpPort: 0,
    async onEvent() {
      const found = await readMeshFile(other.stateDirectory)
      marks.push(...Object.values(found?.children ?? {}))
    },
  })
  await assert.rejects(starting, (error) => {
    assert.ok(error instanceof NotReadyError)
    assert.match(
      error.message,
      /^app small\/back does not stay up: it ended with code 1\nThe end of .*small\.back\.app\.log:/,
    )
    assert.match(error.message, /Cannot find module/)
    return true
  })
  assert.ok(marks.length > 0)
  assert.deepEqual(marks.filter(isRunning), [])
})

test('a stop lets a request in flight finish, and leaves no process', async () => {
  const marks = [...mesh.children().values()].map(markOf)
  let isUnderWay = false
  let slow = Promise.resolve({ status: 0, body: '' })
  const { url } = await mesh.adminOf('hauberk-system/gateway-small-door')
  await until('the gateway has it', async () => {
    // One may be over before anybody looks.
    if (!isUnderWay) {
      isUnderWay = true
      slow = get('/slow', files.token).finally(() => {
        isUnderWay = false
      })
    }
    const metrics = await (await fetch(`${url}/metrics`)).text()
    return /in_flight[^\n]* [1-9]/.test(metrics) || undefined
  })
  await mesh.stop()
  assert.deepEqual(await slow, { status: 200, body: 'slow' })
  assert.deepEqual(marks.filter(isRunning), [])
  assert.equal(await readMeshFile(files.stateDirectory), undefined)
})
