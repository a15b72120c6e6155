import type { OutgoingHttpHeaders } from 'node:http'
import type { Agent, RequestOptions } from 'node:https'
import type { KubeConfig } from '@kubernetes/client-node'
import type { ClientConfig } from './client.ts'
import { KubernetesError } from './errors.ts'

/** Where an API server is, and how a request to it proves who sends it. */
export interface Access {
  readonly server: URL
  readonly namespace: string | undefined
  /** Looked up anew for each request: tokens and certificates are renewed under way. */
  credentials(): Promise<Credentials>
}

export interface Credentials {
  readonly headers: OutgoingHttpHeaders
  /** `user:password`. */
  readonly basic: string | undefined
  readonly tls: TlsMaterial
  /** Set where the kubeconfig names a proxy. */
  readonly proxyAgent: Agent | undefined
}

/** What a connection is made with; another one must not be reused for it. */
export interface TlsMaterial {
  readonly ca?: RequestOptions['ca']
  readonly cert?: RequestOptions['cert']
  readonly key?: RequestOptions['key']
  readonly servername?: string | undefined
  readonly rejectUnauthorized?: boolean | undefined
}

/** Reads a kubeconfig, or the pod's service account. Throws a `KubernetesError` (`Unauthenticated`) for what cannot be used. */
export async function loadAccess(from: ClientConfig): Promise<Access> {
  const config = await loadKubeConfig(from)
  const cluster = config.getCurrentCluster()
  if (cluster === null) throw unusable(`the kubeconfig has no cluster for context ${config.getCurrentContext()}`)
  const server = URL.parse(cluster.server)
  if (server === null) throw unusable(`${cluster.server} is not the URL of an API server`)
  const isProxied = cluster.proxyUrl !== undefined
  const isVerified = !cluster.skipTLSVerify

  const look = async (): Promise<Credentials> => {
    const options: RequestOptions & { auth?: string; servername?: string } = {}
    try {
      await config.applyToHTTPSOptions(options)
    } catch (cause) {
      throw unusable(`the credentials for ${cluster.server} cannot be had: ${(cause as Error).message}`, cause)
    }
    const { ca, cert, key, servername, auth, agent } = options
    return {
      headers: trimmed((options.headers ?? {}) as OutgoingHttpHeaders),
      basic: auth,
      tls: {
        ...(ca !== undefined && { ca }),
        ...(cert !== undefined && { cert }),
        ...(key !== undefined && { key }),
        ...(servername !== undefined && { servername }),
        rejectUnauthorized: isVerified,
      },
      proxyAgent: isProxied ? (agent as Agent) : undefined,
    }
  }
  let looking: Promise<Credentials> | undefined
  return {
    server,
    namespace: config.getContextObject(config.getCurrentContext())?.namespace?.trim() || undefined,
    credentials() {
      // One look for all who ask meanwhile: an exec plugin is a program of its own, and may open a browser.
      looking ??= look().finally(() => {
        looking = undefined
      })
      return looking
    },
  }
}

/** Reads a kubeconfig, or the pod's service account, and nothing else. Throws as `loadAccess` does. */
export async function loadKubeConfig(from: ClientConfig): Promise<KubeConfig> {
  // It is large, and commands that never speak to a cluster do without it.
  const { KubeConfig } = await import('@kubernetes/client-node')
  const config = new KubeConfig()
  try {
    load(config, from)
  } catch (cause) {
    throw unusable(`the kubeconfig cannot be read: ${(cause as Error).message}`, cause)
  }
  return config
}

function load(config: KubeConfig, from: ClientConfig): void {
  switch (from.from) {
    case 'default':
      config.loadFromDefault()
      break
    case 'kubeconfig':
      config.loadFromFile(from.path)
      break
    case 'text':
      config.loadFromString(from.text)
      break
    case 'in-cluster':
      config.loadFromCluster()
      return
  }
  if (from.context === undefined) return
  if (config.getContextObject(from.context) === null) throw new Error(`there is no context ${from.context}`)
  config.setCurrentContext(from.context)
}

/** A token file may end in a line break, which is no part of a header. */
function trimmed(headers: OutgoingHttpHeaders): OutgoingHttpHeaders {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, typeof value === 'string' ? value.trim() : value]),
  )
}

function unusable(message: string, cause?: unknown): KubernetesError {
  return new KubernetesError({ status: 0, reason: 'Unauthenticated', message, cause })
}
