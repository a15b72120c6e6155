import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { directoryOf, policyYaml, workloadYaml } from '../testing/files.ts'
import { runHauberk } from '../testing/run-hauberk.ts'
import { answerFor } from './answer.ts'
import { type AskWords, ask } from './ask.ts'
import { pipelineOf } from './testing/pipeline.ts'
import { formatAnswer } from './text.ts'

const SHOP = join(import.meta.dirname, '..', '..', 'samples', 'shop')

const FILES = {
  'orders.yaml': [
    workloadYaml('orders'),
    policyYaml(
      'orders',
      `  authentication: {jwt: {issuers: [{name: corp}]}, exempt: [{paths: [/healthz]}]}
  authorization:
    deny:
    - {name: no-export, from: {serviceAccounts: [shop/cron]}, to: {paths: ['/export/{**}']}}
    allow:
    - name: own
      from: {serviceAccounts: [shop/web]}
      to: {methods: [GET], paths: ['/users/{userId}/orders']}
      when: claims.sub == path.userId
    - {name: health, to: {paths: [/healthz]}}
`,
    ),
    `apiVersion: hauberk.dev/v1alpha1
kind: TokenIssuer
metadata: {name: corp}
spec: {issuer: https://corp.example, audiences: [https://api.example], jwks: {uri: http://auth.shop/jwks}}
`,
  ].join('---\n'),
  'db.yaml': `${workloadYaml('db', { name: 'postgresql', number: 5432 })}---
${policyYaml('db', '  authorization: {allow: [{name: orders-only, from: {serviceAccounts: [shop/orders]}}]}\n')}`,
  'ann.claims': '{"iss": "https://corp.example", "aud": "https://api.example", "sub": "ann"}',
}

const YAML = [FILES['orders.yaml'], FILES['db.yaml']].join('---\n')
const CLAIMS = JSON.parse(FILES['ann.claims'])

const plain = (_: unknown, text: string) => text

function told(workload: string, line: string, words: Partial<AskWords> = {}): string {
  const pipeline = pipelineOf(YAML, workload)
  const [method, target] = line.split(' ')
  const asked = ask(pipeline, { ...(line !== '' && { method, target }), headers: [], ...words })
  assert.ok(asked.kind === 'asked')
  return formatAnswer(answerFor(pipeline, asked.asked, asked.notes), plain, () => undefined)
}

test('a refusal shows every rule with the field that failed, who refused, and what would change it', () => {
  assert.equal(
    told('shop/orders', 'GET /users/bob/orders', { from: 'web', claims: CLAIMS }),
    `GET /users/bob/orders → shop/orders port 8080
  caller    spiffe://cluster.local/ns/shop/sa/web
  token     of corp, sub ann
  host      orders.shop
  route     Service/shop/orders:80

✓ mtls                           matches (mode: Strict; spiffe://cluster.local/ns/shop/sa/web)
✗ jwt            exempt[0]       does not match: path
                                   expected  /healthz
                                   got       /users/bob/orders
✓ jwt            corp            matches
✓ jwt                            allows (token: corp)
· authorization  deny no-export  does not match: from.serviceAccounts
                                   expected  shop/cron
                                   got       shop/web
✗ authorization  allow own       does not match: when
                                   expected  claims.sub == path.userId
                                   got       claims.sub == path.userId came to false; claims.sub is "ann"; path.userId is "bob"
✗ authorization  allow health    does not match: to.paths
                                   expected  /healthz
                                   got       /users/bob/orders
✗ authorization                  refuses: default
                                   expected  a rule that allows it
                                   got       no allow rule matched

✗ refused: 403 not-allowed, by authorization of shop/orders@1

To be let through:
  → ask for /users/ann/orders or /healthz
  or send a token whose /sub is bob
`,
  )
})

test('a connection of opaque TCP is explained without a method', () => {
  assert.equal(
    told('shop/db', '', { from: 'web' }),
    `a connection → shop/db port 5432
  caller    spiffe://cluster.local/ns/shop/sa/web
  token     none

✓ mtls                              matches (mode: Strict; spiffe://cluster.local/ns/shop/sa/web)
✗ authorization  allow orders-only  does not match: from.serviceAccounts
                                      expected  shop/orders
                                      got       shop/web
✗ authorization                     refuses: default
                                      expected  a rule that allows it
                                      got       no allow rule matched

✗ refused: not-allowed, by authorization of shop/db@1

To be let through:
  → call as shop/orders
Or change the policy: in rule orders-only of shop/db@1 add shop/web to from.serviceAccounts
`,
  )
})

test('what is not as it seems is noted', () => {
  assert.match(
    told('shop/orders', 'GET /users/../healthz', { from: 'web' }),
    /note: policies and the app see \/healthz/,
  )
  assert.match(told('shop/orders', 'GET /healthz', { from: 'web', claims: CLAIMS }), /note: the request is exempt/)
  const stale = { ...CLAIMS, exp: 1 }
  assert.match(told('shop/orders', 'GET /users/ann/orders', { from: 'web', claims: stale }), /note: exp is past/)
  const headers = ['X-Forwarded-For: 10.0.0.1']
  assert.match(
    told('shop/orders', 'GET /healthz', { from: 'web', headers }),
    /note: x-forwarded-for says who is asking/,
  )
  assert.match(
    told('shop/db', 'GET /', { from: 'orders', claims: CLAIMS }),
    /opaque TCP[\s\S]*nothing here verifies tokens/,
  )
})

test('a target that is no path is refused with what would be right', async () => {
  const said = await Promise.all(
    ['users', '/a%zz', '/a%2fb'].map(async (target) => {
      const { stdout } = await runHauberk(['explain', 'shop/catalog', 'GET', target, '-f', SHOP], { cwd: '/' })
      return stdout.trimEnd().split(': ').at(-1)
    }),
  )
  assert.deepEqual(said, [
    'write a path that begins with /',
    'see docs/denials.md#bad-escape',
    'it can be read in two ways',
  ])
})

test('a target that can be read in two ways is refused whatever the policies', () => {
  const asked = ask(pipelineOf(YAML, 'shop/orders'), { method: 'GET', target: '/a%2fb', from: 'web', headers: [] })
  assert.deepEqual(asked, {
    kind: 'malformed',
    status: 400,
    reason: 'ambiguous-path',
    port: 8080,
    caller: 'spiffe://cluster.local/ns/shop/sa/web',
  })
})

test('a method that no proxy takes is refused whatever the policies, and a caller that no workload is gets a note', async () => {
  const asked = ask(pipelineOf(YAML, 'shop/orders'), { method: 'get', target: '/healthz', from: 'web', headers: [] })
  assert.ok(asked.kind === 'malformed')
  assert.deepEqual([asked.status, asked.reason], [501, 'unknown-method'])
  const explained = await runHauberk(
    ['explain', 'shop/catalog', 'GET', '/products', '--from', 'shop/nobody', '-f', SHOP, '-o', 'json'],
    { cwd: '/' },
  )
  assert.deepEqual(JSON.parse(explained.stdout).notes, [
    'no workload in these files runs as spiffe://cluster.local/ns/shop/sa/nobody',
  ])
})

test('ports are named by container or Service, hosts as a client would', () => {
  const pipeline = pipelineOf(YAML, 'shop/orders')
  for (const port of [undefined, 80, 8080]) {
    const asked = ask(pipeline, { method: 'GET', target: '/', headers: [], port })
    assert.ok(asked.kind === 'asked')
    assert.deepEqual([asked.asked.port, asked.asked.host], [8080, 'orders.shop'])
  }
  assert.throws(
    () => ask(pipeline, { method: 'GET', target: '/', headers: [], port: 81 }),
    /has no port 81; it has 8080/,
  )
})

test('the shop is explained from its files, at the gateway and behind it', async () => {
  const [gateway, behind] = await Promise.all([
    runHauberk(['explain', 'gateway', 'GET', '/api/catalog/products', '-f', SHOP], { cwd: '/' }),
    runHauberk(['explain', 'shop/catalog', 'GET', '/products', '--from', 'gateway', '-f', SHOP, '-o', 'yaml'], {
      cwd: '/',
    }),
  ])
  assert.equal(gateway.code, 0, gateway.stderr)
  assert.match(gateway.stdout, /✓ allowed, by rule anybody of shop\/gateway@1 \(.*gateway\.yaml:\d+\)/)
  assert.match(gateway.stdout, /hauberk explain shop\/catalog GET \/products --from hauberk-system\/gateway-shop-shop/)
  const answer = parse(behind.stdout)
  assert.deepEqual([answer.outcome, answer.rule, answer.dryRun.outcome], ['allowed', 'browse', 'denied'])
})

test('the exit code is 0 for whatever was explained, unless it is asked for', async (t) => {
  const cwd = await directoryOf(t, FILES)
  const explain = (...args: readonly string[]) => runHauberk(['explain', ...args], { cwd })
  const refused = ['orders', 'PUT', '/', '--from', 'shop/web', '--claims', 'ann.claims', '-f', '.'] as const
  const [plainRun, asked, allowed, unknown, noMethod, badFrom, noMesh, badClaims] = await Promise.all([
    explain(...refused, '-o', 'json'),
    explain(...refused, '--exit-code'),
    explain('orders', 'GET', '/healthz', '--from', 'web', '-f', '.', '--exit-code'),
    explain('ordres', 'GET', '/', '-f', '.'),
    explain('orders', '-f', '.'),
    explain('orders', 'GET', '/', '--from', 'a b', '-f', '.'),
    explain('orders', 'GET', '/'),
    explain('orders', 'GET', '/', '--claims', 'orders.yaml', '-f', '.'),
  ])
  assert.deepEqual(
    [plainRun, asked, allowed, unknown, noMethod, badFrom, noMesh, badClaims].map(({ code }) => code),
    [0, 79, 0, 1, 2, 2, 1, 1],
  )
  const answer = JSON.parse(plainRun?.stdout ?? '')
  assert.equal(answer.denial, 'not-allowed')
  assert.deepEqual(answer.request, {
    method: 'PUT',
    path: '/',
    host: 'orders.shop',
    port: 8080,
    caller: 'spiffe://cluster.local/ns/shop/sa/web',
    clientIp: '127.0.0.1',
    issuer: 'corp',
    subject: 'ann',
  })
  assert.match(unknown?.stderr ?? '', /there is no workload ordres; there is shop\/db, shop\/orders/)
  assert.match(noMethod?.stderr ?? '', /say METHOD and PATH/)
  assert.match(noMesh?.stderr ?? '', /no mesh runs in \.hauberk/)
})

test('files with mistakes explain nothing', async (t) => {
  const cwd = await directoryOf(t, { ...FILES, 'c.yaml': 'kind: Service\n' })
  const { code, stdout, stderr } = await runHauberk(['explain', 'orders', 'GET', '/', '-f', '.'], { cwd })
  assert.deepEqual([code, stdout], [79, ''])
  assert.match(stderr, /^c\.yaml\n +1:1 +error +HBK0109[\s\S]*1 error in the files/)
})

test('T31: what callers and policies chose does not write to the terminal', async (t) => {
  const claims = JSON.stringify({ ...CLAIMS, sub: 'a\u001b[2Jb\u009b' })
  const cwd = await directoryOf(t, { ...FILES, 'evil.claims': claims })
  const asked = [
    'explain',
    '-f',
    'orders.yaml',
    'orders',
    'GET',
    '/users/ann/orders',
    '--claims',
    'evil.claims',
    '--from',
    'shop/web',
  ]
  const { stdout } = await runHauberk(asked, { cwd })
  assert.match(stdout, /sub a\\u\{1b\}\[2Jb\\u\{9b\}\n/)
  const { stdout: json } = await runHauberk([...asked, '-o', 'json'], { cwd })
  assert.match(json, /a\\u001b\[2Jb\\u009b/)
  assert.equal(JSON.parse(json).request.subject, 'a\u001b[2Jb\u009b')
  assert.doesNotMatch(stdout + json, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/)
})
