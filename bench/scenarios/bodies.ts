import { closedLoop, type Load } from '../load/wrk.ts'
import type { Scenario } from '../scenario.ts'
import { UPLOAD_PATH } from '../world/backend.ts'
import { HAPROXY, hauberkIdentity, LOAD_FIGURES } from './rows.ts'

/** Bodies in both directions. */
export const bodies: readonly Scenario[] = [
  bodyScenario('download-64k', '64 KB to the client', { connections: 16, path: '/bytes/64k' }),
  bodyScenario('upload-64k', '64 KB to the application', uploadOf(16, 65_536)),
  bodyScenario('download-1m', '1 MB to the client', { connections: 8, path: '/bytes/1m' }),
  bodyScenario('upload-1m', '1 MB to the application', uploadOf(8, 1_048_576)),
]

function uploadOf(connections: number, postBytes: number): Load {
  return { connections, path: UPLOAD_PATH, postBytes, countedTwice: true }
}

function bodyScenario(name: string, title: string, load: Load): Scenario {
  return {
    name,
    title: `HTTP/1.1 keep-alive, mTLS in, plaintext out, ${title}`,
    work: closedLoop(load),
    figures: LOAD_FIGURES,
    reference: 'haproxy',
    contestants: [HAPROXY, hauberkIdentity()],
    ours: (build) => [hauberkIdentity(build)],
    goals: [{ contestant: 'hauberk', against: 'haproxy', needed: 1.5, goal: 1.2 }],
  }
}
