import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { StatusReport } from '../../operator/status/report.ts'
import { type AdminRoute, startAdminServer } from '../../runtime/admin-server.ts'
import { createHealth } from '../../runtime/health.ts'
import { silentLog } from '../../runtime/log.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { type MeshFile, meshFilePath } from '../dev/mesh-file.ts'
import { markOf } from '../dev/process-tree.ts'

/** A sidecar as far as its admin port goes. */
export interface TestProxy {
  readonly workload: string
  readonly role: 'sidecar' | 'gateway'
  readonly spiffeId: string
  readonly routes: readonly AdminRoute[]
}

/**
 * A state directory in which a mesh runs whose parts answer on real admin ports. This process is the mesh. Gives the
 * directory; all of it is gone after the test.
 */
export async function runningMesh(
  t: TestContext,
  {
    proxies,
    status,
    operatorRoutes = [],
    files = [],
  }: {
    readonly proxies: readonly TestProxy[] /** Undefined: the operator has ended. */
    readonly status: StatusReport | undefined
    /** What the operator answers besides. */
    readonly operatorRoutes?: readonly AdminRoute[]
    readonly files?: readonly string[]
  },
): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-mesh-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  await mkdir(join(directory, 'run'))
  const tokenFile = join(directory, 'admin-token')
  const token = 'a-token-of-this-test-and-nothing-else'
  await writeFile(tokenFile, token, { mode: 0o600 })
  const serve = async (routes: readonly AdminRoute[]) => {
    const server = await startAdminServer({
      port: 0,
      token,
      metrics: createMetrics(),
      health: createHealth(),
      routes,
      log: silentLog,
    })
    t.after(() => server.close())
    return { url: server.url, tokenFile }
  }
  const operator =
    status === undefined
      ? { url: 'http://127.0.0.1:9', tokenFile }
      : await serve([
          { method: 'GET', path: '/status', handle: () => ({ body: JSON.stringify(status) }) },
          ...operatorRoutes,
        ])
  const mesh: MeshFile = {
    process: markOf(process.pid),
    files,
    trustAnchorsFile: join(directory, 'ca.crt'),
    operator: { admin: operator, statusFile: join(directory, 'status.json') },
    proxies: await Promise.all(
      proxies.map(async ({ routes, ...proxy }) => ({
        ...proxy,
        pod: `${proxy.workload}-local`,
        admin: await serve(routes),
        optionsFile: join(directory, 'options.json'),
      })),
    ),
    listeners: [],
    children: {},
  }
  await writeFile(meshFilePath(directory), JSON.stringify(mesh), { mode: 0o600 })
  return directory
}
