import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseHeaderPattern } from './header.ts'

function header(name: string, values?: readonly string[]) {
  const parsed = parseHeaderPattern(name, values)
  assert.ok(parsed.ok)
  return parsed.value
}

describe('a header pattern', () => {
  it('matches when every line that was sent is one of its values', () => {
    const tenant = header('X-Tenant', ['acme', 'umbrella'])
    assert.equal(tenant.name, 'x-tenant')
    assert.equal(tenant.matches(['acme']), true)
    assert.equal(tenant.matches(['acme', 'umbrella']), true)
    assert.equal(tenant.matches(['acme', 'other']), false)
    assert.equal(tenant.matches(['ACME']), false)
    assert.equal(tenant.matches([]), false)
  })

  it('touches a request in which one line or list member is one of its values', () => {
    const role = header('x-role', ['admin'])
    assert.equal(role.touches(['user', 'admin']), true)
    assert.equal(role.touches(['user, admin']), true)
    assert.equal(role.touches(['user,administrator']), false)
    assert.equal(role.touches([]), false)
  })

  it('without values asks only that the field was sent', () => {
    assert.equal(header('x-any').matches(['']), true)
    assert.equal(header('x-any').matches([]), false)
    assert.equal(header('x-any').touches(['whatever']), true)
  })

  it('refuses names and values that no header has', () => {
    assert.ok(!parseHeaderPattern('x tenant').ok)
    assert.ok(!parseHeaderPattern('').ok)
    const parsed = parseHeaderPattern('x', ['ok', 'a\nb', ' a', 'é'])
    assert.ok(!parsed.ok)
    assert.deepEqual(
      parsed.issues.map(({ path }) => path),
      ['values[1]', 'values[2]', 'values[3]'],
    )
  })
})
