import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Cluster } from './cluster.ts'
import { askConfig, askIdentity } from './collect.ts'
import type { MeshedPod } from './meshed-pod.ts'

const POD: MeshedPod = {
  namespace: 'shop',
  name: 'orders-0',
  workload: 'shop/orders',
  role: 'sidecar',
  container: 'hauberk-sidecar',
  spiffeId: undefined,
  image: 'of-a-tenant',
  isRunning: true,
  state: undefined,
}

/** A cluster in whose pods every program says this. */
function saying(stdout: string): Cluster {
  return { exec: async () => ({ exitCode: 0, stdout, stderr: '' }) } as unknown as Cluster
}

describe('what a container says of itself', () => {
  const answers = [
    'null',
    '5',
    '[]',
    '"x"',
    '{"chain":5}',
    '{"chain":"","trustBundle":"x","serving":[]}',
    '{"chain":"","trustBundle":[5],"serving":[]}',
    '{"chain":"","trustBundle":[],"serving":"x"}',
    '{"chain":"","trustBundle":[],"serving":[null]}',
    '{"chain":"","trustBundle":[],"serving":[{"hostname":"a","chain":{}}]}',
    '{"chain":"-----BEGIN CERTIFICATE-----\\n-----END CERTIFICATE-----","trustBundle":[],"serving":[]}',
  ]
  for (const answer of answers) {
    it(`ends no check, also where it is ${answer}`, async () => {
      const { certificates, silent } = await askIdentity(saying(answer), POD, Date.now())
      assert.deepEqual(certificates, [])
      assert.match(silent ?? '', /./)
      assert.equal(await askConfig(saying(answer), POD), undefined)
    })
  }
})
