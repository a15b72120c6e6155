import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { buildPrograms } from './build.ts'

const ROOT = join(import.meta.dirname, '..')

describe('the program of the sidecar image', () => {
  let directory: string

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'hauberk-bundle-'))
    await buildPrograms(directory, { only: 'hauberk-sidecar' })
    // All that an image has beside it.
    for (const name of ['koffi', '@koromix']) {
      await cp(join(ROOT, 'node_modules', name), join(directory, 'node_modules', name), { recursive: true })
    }
  })
  after(() => rm(directory, { recursive: true }))

  const run = (...args: readonly string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(directory, 'hauberk-sidecar.mjs'), ...args], {
      cwd: directory,
      env: {},
      encoding: 'utf8',
    })
    return { status, stdout, stderr }
  }

  it('knows its version, and how it is called, with nothing else there', async () => {
    const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { readonly version: string }
    assert.deepEqual(run('--version'), { status: 0, stdout: `${version}\n`, stderr: '' })
    assert.match(run('--help').stdout, /usage: hauberk-sidecar COMMAND\n\n {2}run {10}.*\n {2}capture /)
  })

  it('has Node load nothing of fetch, HTTP/2 or workers of a cluster, which takes megabytes in every pod', () => {
    const source = `await import(process.argv[1])
      console.log(process.moduleLoadList.filter((name) => /deps\\/undici|http2\\/core|internal\\/cluster\\/primary/.test(name)).join())`
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['--input-type=module', '--eval', source, '--', join(directory, 'hauberk-sidecar.mjs')],
      { cwd: directory, env: {}, encoding: 'utf8' },
    )
    assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: '\n', stderr: '' })
  })

  it('says what is wrong with its command line, with 2, or with what it is told, with 1', () => {
    for (const args of [[], ['walk'], ['run', 'fast'], ['--fast']]) assert.equal(run(...args).status, 2, args.join(' '))
    for (const command of ['run', 'capture']) {
      assert.deepEqual(run(command), { status: 1, stdout: '', stderr: 'the variable HAUBERK_SIDECAR is not set\n' })
    }
  })
})
