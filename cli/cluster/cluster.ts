import type { KubeConfig } from '@kubernetes/client-node'
import { loadKubeConfig } from '../../operator/kubernetes/access.ts'
import { type ClientConfig, type KubernetesClient, openClient } from '../../operator/kubernetes/client.ts'
import { KubernetesError } from '../../operator/kubernetes/errors.ts'
import { CommandError, EXIT } from '../exit-code.ts'
import { release } from '../release.ts'
import { createExec, createExecLines, type Exec, type ExecLines } from './exec.ts'
import type { ClusterFlags } from './flags.ts'

/** A cluster, as whoever runs the command may use it. */
export interface Cluster {
  /** The name of the kubeconfig's context. */
  readonly context: string
  /** URL of the API server. */
  readonly server: string
  /** What the command is about; undefined: all namespaces. */
  readonly namespace: string | undefined
  readonly client: KubernetesClient
  readonly exec: Exec
  readonly execLines: ExecLines
  close(): void
}

/** Connections at once: a laptop's command is no reason for an API server to sweat. */
const MAX_CONNECTIONS = 8

/**
 * Reads the kubeconfig; nothing is sent. Undefined when there is none at all and no flag names one. Ends the command for
 * one that cannot be used.
 */
export async function findCluster(flags: ClusterFlags): Promise<Cluster | undefined> {
  const from = configOf(flags)
  try {
    const config = await loadKubeConfig(from)
    if (isInvented(config)) return undefined
    const client = await openClient({
      config: from,
      userAgent: `hauberk/${release()}`,
      maxConnections: MAX_CONNECTIONS,
    })
    return {
      context: config.getCurrentContext(),
      server: client.server.replace(/\/$/, ''),
      namespace: flags.allNamespaces === true ? undefined : (flags.namespace ?? client.namespace ?? 'default'),
      client,
      exec: createExec(config),
      execLines: createExecLines(config),
      close: () => client.close(),
    }
  } catch (cause) {
    if (cause instanceof KubernetesError) throw new CommandError(EXIT.failure, cause.message, { cause })
    throw cause
  }
}

/** The cluster that the flags ask for. Ends the command where there is none. */
export async function openCluster(flags: ClusterFlags): Promise<Cluster> {
  const cluster = await findCluster(flags)
  if (cluster !== undefined) return cluster
  throw new CommandError(EXIT.failure, 'there is no kubeconfig: name one with --kubeconfig or $KUBECONFIG')
}

function configOf({ kubeconfig, context }: ClusterFlags): ClientConfig {
  return kubeconfig === undefined ? { from: 'default', context } : { from: 'kubeconfig', path: kubeconfig, context }
}

/** Where nothing is configured the library makes up a server on this machine, without TLS. */
function isInvented(config: KubeConfig): boolean {
  return config.getCurrentContext() === 'loaded-context' && config.getCurrentCluster()?.server === INVENTED
}

const INVENTED = 'http://localhost:8080'
