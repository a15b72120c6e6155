import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Resource } from '../../model/resource.ts'
import type { WorkloadId } from '../../model/workload-id.ts'
import { snapshotOf } from '../../operator/store/snapshot.ts'
import { TRY_ANNOTATION, welcomePage } from './welcome.ts'

const gateway = 'hauberk-system/gateway-a-g' as WorkloadId

function page(resources: readonly Resource[], stateDirectory = '/home/node/shop/.hauberk') {
  return welcomePage(
    {
      stateDirectory,
      caFile: `${stateDirectory}/ca.crt`,
      httpsPort: 9443,
      httpPort: 9080,
      listeners: [
        { gateway, name: 'https', protocol: 'https', port: 443, localPort: 9443, hostname: 'a.localhost' },
        { gateway, name: 'http', protocol: 'http', port: 80, localPort: 9080 },
      ],
      snapshot: () => snapshotOf(resources),
    },
    (_, text) => text,
    '/home/node/shop',
  )
}

function resource(
  kind: string,
  name: string,
  rest: Partial<Resource>,
  annotations: Record<string, string> = {},
): Resource {
  return { apiVersion: 'v1', kind, metadata: { name, namespace: 'a', annotations }, ...rest }
}

test('the page says where everything is, as it is typed from here', () => {
  const users = 'users.json: {kind: scrypt-users, users: [ann, bob], passwords: pw-}'
  assert.equal(
    page([resource('Secret', 'users', {}, { 'hauberk.dev/generate': users })]),
    `
 Gateway       https://a.localhost:9443
               http://localhost:9080
 Trust anchor  .hauberk/ca.crt
 Passwords     cat .hauberk/secrets/a/users/pw-ann
 Logs          .hauberk/logs
`,
  )
})

test('what to try is what the Gateway says, with the ports and files of this machine', () => {
  const tries =
    '# it works: 200\ncurl --cacert $CA https://a.localhost:$HTTPS_PORT/ $(cat $SECRETS/x) $CAT $HOME\n# plain\ncurl http://a:$HTTP_PORT/'
  const told = page([resource('Gateway', 'g', {}, { [TRY_ANNOTATION]: tries })], '/srv/it is/.hauberk')
  assert.ok(
    told.endsWith(`
 Try
 # it works: 200
 curl --cacert '/srv/it is/.hauberk/ca.crt' https://a.localhost:9443/ $(cat '/srv/it is/.hauberk/secrets'/x) $CAT $HOME

 # plain
 curl http://a:9080/
`),
    told,
  )
})

test('where nobody said what to try, the first routes are', () => {
  const spec = {
    parentRefs: [{ name: 'g' }],
    rules: [{ matches: [{ path: { type: 'PathPrefix', value: '/x' } }] }, {}],
  }
  const told = page([resource('HTTPRoute', 'r', { spec })])
  assert.match(told, /^ curl -i --cacert \.hauberk\/ca\.crt https:\/\/a\.localhost:9443\/x$/m)
  assert.match(told, /^ curl -i --cacert \.hauberk\/ca\.crt https:\/\/a\.localhost:9443\/$/m)
})
