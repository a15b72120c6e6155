import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { CONTRACT_VERSION } from '../../contract/workload-config.ts'

const exec = promisify(execFile)
const ROOT = resolve(import.meta.dirname, '../..')
const CONTRACT = 'contract/workload-config.ts'

/** A state of this repository that somebody may come from: the last one that spoke the contract's version before. */
export interface PreviousRelease {
  readonly commit: string
  readonly contract: number
  readonly chart: string
  /** Values of its chart that name its images. */
  readonly values: Readonly<Record<string, string>>
  /** Takes its files away; the images stay. */
  remove(): Promise<void>
}

/** Builds its images from its own sources and loads them into the kind cluster. Wants the history of the repository. */
export async function buildPreviousRelease(cluster: string): Promise<PreviousRelease> {
  const { commit, contract } = await lastOfContractBefore()
  const tag = `at-${commit.slice(0, 7)}`
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-previous-'))
  const remove = () => rm(directory, { recursive: true, force: true })
  try {
    const archive = join(directory, 'sources.tar')
    await exec('git', ['archive', '--output', archive, commit], { cwd: ROOT })
    await exec('tar', ['-xf', archive, '-C', directory])
    const built = ['images/build.ts', '--only', 'operator,sidecar', '--tag', tag, '--load', cluster]
    await exec(process.execPath, built, { cwd: directory, timeout: 600_000, maxBuffer: 64 * 1024 * 1024 })
  } catch (error) {
    await remove()
    throw error
  }
  const values = { 'operator.image.tag': tag, 'sidecar.image.tag': tag }
  return { commit, contract, chart: join(directory, 'charts/hauberk'), values, remove }
}

async function lastOfContractBefore(): Promise<{ readonly commit: string; readonly contract: number }> {
  const changes = (await git('log', '--format=%H', '--', CONTRACT)).split('\n')
  for (const change of changes) {
    const before = await git('rev-parse', '--verify', '--quiet', `${change}^`).catch(() => undefined)
    const contract = before === undefined ? undefined : await contractAt(before)
    if (before !== undefined && contract !== undefined && contract < CONTRACT_VERSION) {
      return { commit: before, contract }
    }
  }
  throw new assert.AssertionError({
    message: `no commit of this clone speaks a contract before ${CONTRACT_VERSION}: is its history here (git fetch --unshallow)?`,
  })
}

async function contractAt(commit: string): Promise<number | undefined> {
  const source = await git('show', `${commit}:${CONTRACT}`).catch(() => '')
  const found = /^export const CONTRACT_VERSION = (\d+)$/m.exec(source)?.[1]
  return found === undefined ? undefined : Number(found)
}

async function git(...args: readonly string[]): Promise<string> {
  const { stdout } = await exec('git', [...args], { cwd: ROOT, maxBuffer: 16 * 1024 * 1024 })
  return stdout.trim()
}
