import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'

const exec = promisify(execFile)
const ROOT = resolve(import.meta.dirname, '../..')

/** The tag that `npm run images` gives by itself. */
const VERSION = '0.1.0'

/** What the shop runs besides: loaded too where this machine has it, pulled by the cluster where not. */
const SERVERS = ['postgres:15'] as const

/** Builds the three images, and loads them into the nodes of a kind cluster. */
export async function buildAndLoadImages(cluster: string | undefined): Promise<void> {
  const args = ['run', '--silent', 'images', '--', ...(cluster === undefined ? [] : ['--load', cluster])]
  try {
    await exec('npm', args, { cwd: ROOT, timeout: 900_000, maxBuffer: 64 * 1024 * 1024 })
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string }
    throw new Error(`npm ${args.join(' ')} failed:\n${`${stdout}\n${stderr}`.split('\n').slice(-40).join('\n')}`, {
      cause: error,
    })
  }
  if (cluster === undefined) return
  for (const image of SERVERS) {
    const isHere = await exec('docker', ['image', 'inspect', image]).then(
      () => true,
      () => false,
    )
    if (isHere) await exec('kind', ['load', 'docker-image', image, '--name', cluster], { timeout: 300_000 })
  }
}

/** Another image of the same sidecar, under this tag, in the nodes of a kind cluster: for whoever rolls one out. */
export async function loadDerivedSidecar(tag: string, cluster: string): Promise<void> {
  const image = `hauberk-sidecar:${tag}`
  const built = exec('docker', ['build', '--tag', image, '-'], { timeout: 120_000 })
  built.child.stdin?.end(`FROM hauberk-sidecar:${VERSION}\nLABEL hauberk.dev/e2e=${tag}\n`)
  await built
  await exec('kind', ['load', 'docker-image', image, '--name', cluster], { timeout: 300_000 })
}
