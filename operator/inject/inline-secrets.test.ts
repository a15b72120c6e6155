import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inlineSecrets } from './inline-secrets.ts'
import type { ContainerObject } from './pod-object.ts'

const TOKEN = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbm5hIn0.c2lnbmF0dXJlLXRoYXQtaXMtbG9uZw'
const RANDOM = 'p9fK2mQx71LsRw0aZt4E'

function found(container: Partial<ContainerObject>) {
  return inlineSecrets({ metadata: { name: 'app' }, spec: { containers: [{ name: 'app', ...container }] } })
}

function inVariable(name: string, value: string): boolean {
  return (
    found({
      env: [
        { name: 'LOG_LEVEL', value: 'info' },
        { name, value },
      ],
    }).length > 0
  )
}

describe('secrets in a pod itself', () => {
  it('T31: a password that a variable holds is found with its path, and not told', () => {
    const [first, ...more] = found({ env: [{ name: 'DB_PASSWORD', value: 'hunter2' }] })
    assert.deepEqual(more, [])
    assert.deepEqual(
      [first?.code, first?.severity, first?.path],
      ['inline-secret', 'error', 'spec.containers[0].env[0].value'],
    )
    assert(!JSON.stringify(first).includes('hunter2'))
  })

  it('are found in every list of containers', () => {
    const container: ContainerObject = { name: 'app', env: [{ name: 'PASSWORD', value: 'x' }] }
    const spec = { containers: [container], initContainers: [container], ephemeralContainers: [container] }
    assert.deepEqual(
      inlineSecrets({ metadata: { name: 'app' }, spec }).map(({ path }) => path),
      [
        'spec.initContainers[0].env[0].value',
        'spec.containers[0].env[0].value',
        'spec.ephemeralContainers[0].env[0].value',
      ],
    )
  })

  const secrets: readonly (readonly [string, string])[] = [
    ['POSTGRES_PASSWORD', 'orders'],
    ['MYSQL_ROOT_PASSWD', '123456'],
    ['spring.datasource.password', 'pa ss'],
    ['KEY_PASSPHRASE', 'correct horse'],
    ['DB_PASSWORD', '$(USER)-2024'],
    ['API_KEY', RANDOM],
    ['apikey', RANDOM],
    ['AWS_SECRET_ACCESS_KEY', 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'],
    ['CLIENT_SECRET', '3f0a9c1e7b264d58a1f0c2d9e8b7a654'],
    ['SESSION_TOKEN', '550e8400-e29b-41d4-a716-446655440000'],
    ['DATABASE_URL', 'postgres://orders:hunter2@orders-db/orders'],
    ['ANYTHING', `Bearer ${TOKEN}`],
    ['TLS', '-----BEGIN PRIVATE KEY-----\nMIG'],
  ]
  for (const [name, value] of secrets) {
    it(`T31: ${name} is found to hold one`, () => assert(inVariable(name, value)))
  }

  const others: readonly (readonly [string, string])[] = [
    ['POSTGRES_PASSWORD', ''],
    ['POSTGRES_PASSWORD', '$(FROM_A_SECRET)'],
    ['POSTGRES_PASSWORD', '${FROM_A_SECRET}'],
    ['POSTGRES_PASSWORD', '/run/secrets/db/password'],
    ['POSTGRES_PASSWORD_FILE', 'hunter2'],
    ['ALLOW_EMPTY_PASSWORD', 'yes'],
    ['PASSWORD', 'vault:secret/data/orders#password'],
    ['PASSWORD_MIN_LENGTH', '12'],
    ['TLS_SECRET', 'orders-db-credentials-v2'],
    ['IMAGE_PULL_SECRET', 'registry.credentials'],
    ['CSRF_TOKEN', 'X-Xsrf-Token-Header'],
    ['ENCRYPTION_KEY', 'current'],
    ['MAX_TOKEN', '4096'],
    ['PARTITION_KEY', RANDOM],
    ['MONKEY', RANDOM],
    ['TOKEN_URL', 'https://auth.example/oauth2/token?client=a1b2'],
    ['DATABASE_URL', 'postgres://orders:$(PASSWORD)@orders-db/orders'],
    ['DATABASE_URL', 'postgres://orders@orders-db:5432/orders'],
  ]
  for (const [name, value] of others) {
    it(`${name}=${value} is taken for none`, () => assert(!inVariable(name, value)))
  }

  it('T31: are found in what a container is started with, and by their form alone', () => {
    const container = {
      command: ['app', '--db=postgres://orders:hunter2@orders-db/orders'],
      args: ['--token', TOKEN, '--password', 'x'],
    }
    assert.deepEqual(
      found(container).map(({ path, message }) => [path, message]),
      [
        ['spec.containers[0].command[1]', 'holds a password, for everybody who sees the processes'],
        ['spec.containers[0].args[1]', 'holds a signed token, for everybody who sees the processes'],
      ],
    )
  })

  it('a value that comes from elsewhere has none to look at', () => {
    const valueFrom = { secretKeyRef: { name: 'orders-db', key: 'password' } }
    assert.deepEqual(found({ env: [{ name: 'DB_PASSWORD', valueFrom }] }), [])
  })

  it('T28: are looked for in a time that grows with the value and no faster', () => {
    const env = ['/a', '$(a', '://:', '-----BEGIN A', 'a1-', '-eyJaaaaaaaa.'].map((piece) => ({
      name: 'API_KEY',
      value: piece.repeat(40_000),
    }))
    // A pattern that backtracks over its own repetitions would be at it until the test run ends.
    assert(found({ env }).length <= env.length)
  })
})
