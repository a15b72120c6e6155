import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Kubectl } from './kubectl.ts'

/** Lines of each log that are kept. */
const LOG_LINES = 20_000

/**
 * Keeps what a cluster looked like when something failed: resources, events, logs of every container. Secrets are not
 * among it. Returns the directory.
 */
export async function keepBundle(kubectl: Kubectl, directory: string, namespaces: readonly string[]): Promise<string> {
  await mkdir(directory, { recursive: true })
  const keep = async (name: string, args: readonly string[]) => {
    const text = await kubectl.run(args).catch((error: Error) => error.message)
    await writeFile(join(directory, name), text)
  }
  await Promise.all([
    keep('nodes.txt', ['describe', 'nodes']),
    keep('pods.txt', ['get', 'pods', '-A', '-o', 'wide']),
    keep('hauberk.yaml', ['get', 'securitypolicies,meshsecuritypolicies,tokenissuers,meshconfigs', '-A', '-o', 'yaml']),
    keep('gateways.yaml', ['get', 'gatewayclasses,gateways,httproutes', '-A', '-o', 'yaml']),
    keep('webhooks.yaml', ['get', 'mutatingwebhookconfigurations,validatingwebhookconfigurations', '-o', 'yaml']),
    keep('events.txt', ['get', 'events', '-A', '--sort-by=.lastTimestamp']),
    keep('leases.yaml', ['get', 'leases', '-n', 'hauberk-system', '-o', 'yaml']),
  ])
  for (const namespace of namespaces) {
    const pods = await kubectl.list(['pods', '-n', namespace]).catch(() => [])
    await keep(`${namespace}.describe.txt`, ['describe', 'pods', '-n', namespace])
    for (const { metadata, spec } of pods) {
      const containers = [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])] as { readonly name: string }[]
      for (const { name } of containers) {
        const log = ['logs', '-n', namespace, metadata.name, '-c', name, `--tail=${LOG_LINES}`]
        await keep(`${namespace}.${metadata.name}.${name}.log`, log)
        await keep(`${namespace}.${metadata.name}.${name}.previous.log`, [...log, '--previous'])
      }
    }
  }
  return directory
}
