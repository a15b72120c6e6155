import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { CHART, HELMS } from './testing/helm.ts'

/**
 * What the chart makes of the cluster that it meets. Wants a cluster with the release `hauberk`, whose definitions of Gateway
 * API are its own; changes nothing there.
 */

const exec = promisify(execFile)

/** As many definitions as `helm upgrade`, or an installation as another release, would bring. */
async function definitions(program: string, release: string, ...args: readonly string[]): Promise<number> {
  const { stdout } = await exec(
    program,
    ['template', release, CHART, '--namespace', 'hauberk-system', '--dry-run=server', ...args],
    { maxBuffer: 16 * 1024 * 1024 },
  )
  return stdout.match(/"kind":"CustomResourceDefinition"/g)?.length ?? 0
}

for (const { program, version } of HELMS) {
  test(`an upgrade brings our definitions and those of Gateway API that came with us (Helm ${version})`, async () => {
    assert.equal(await definitions(program, 'hauberk'), 15)
    assert.equal(await definitions(program, 'hauberk', '--set', 'gatewayApi.install=false'), 5)
  })

  test(`definitions of Gateway API that are somebody else's are left alone (Helm ${version})`, async () => {
    assert.equal(await definitions(program, 'another', '--set', 'crds.install=false', '--take-ownership'), 0)
  })

  test(`a second release is refused, and told which is there (Helm ${version})`, async () => {
    await assert.rejects(definitions(program, 'another'), (error: Error & { stderr: string }) => {
      assert.match(error.stderr, /is that of the release "hauberk" in hauberk-system. One cluster has one Hauberk/)
      return true
    })
  })
}
