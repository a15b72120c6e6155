import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'

const exec = promisify(execFile)
export const KIND_CONFIG = resolve(import.meta.dirname, '../kind.yaml')
/** Two nodes, IPv4 and IPv6. */
export const KIND_MULTI_CONFIG = resolve(import.meta.dirname, '../kind-multi.yaml')

/** What became of a wish for a cluster. */
export interface KindCluster {
  readonly context: string
  readonly wasThere: boolean
}

/**
 * The kind cluster of this name: the one that is there, whatever is in it, or a new one. `config` is a file of kind's.
 */
export async function ensureKindCluster(name: string, config: string): Promise<KindCluster> {
  const { stdout } = await exec('kind', ['get', 'clusters'])
  const context = `kind-${name}`
  const wasThere = stdout.split('\n').includes(name)
  if (!wasThere) {
    const image = await localNodeImage()
    const args = ['create', 'cluster', '--name', name, '--config', config, '--wait', '120s']
    await exec('kind', image === undefined ? args : [...args, '--image', image], { timeout: 600_000 })
  } else {
    await exec('kind', ['export', 'kubeconfig', '--name', name])
  }
  return { context, wasThere }
}

/** The name of the kind cluster that a context is of. */
export function clusterOf(context: string): string {
  return context.replace(/^kind-/, '')
}

export async function deleteKindCluster(name: string): Promise<void> {
  await exec('kind', ['delete', 'cluster', '--name', name], { timeout: 120_000 })
}

/** A node image that is on this machine spares the download, and works where there is none. */
async function localNodeImage(): Promise<string | undefined> {
  const { stdout } = await exec('docker', ['image', 'ls', '--format', '{{.Repository}}:{{.Tag}}', 'kindest/node'])
  return stdout.split('\n').find((image) => /^kindest\/node:v\d/.test(image))
}
