import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkGatewayParameters, mergeParameters } from './gateway-parameters.ts'

test('what a Gateway names counts before what its class names, field by field', () => {
  const merged = mergeParameters(
    { replicas: 1, service: { type: 'NodePort', annotations: { a: '1' } } },
    {
      replicas: 3,
      service: { type: 'LoadBalancer', externalTrafficPolicy: 'Cluster', annotations: { b: '2' } },
      pod: { nodeSelector: { pool: 'edge' } },
    },
  )
  assert.deepEqual(merged, {
    replicas: 1,
    service: { type: 'NodePort', externalTrafficPolicy: 'Cluster', annotations: { a: '1' } },
    pod: { nodeSelector: { pool: 'edge' } },
  })
  assert.deepEqual(mergeParameters({}, { replicas: 3 }), { replicas: 3 })
  assert.deepEqual(mergeParameters({ pod: {} }, {}), { pod: {} })
})

test('what has another shape is told with its path, whatever it is', () => {
  assert.deepEqual(checkGatewayParameters(undefined), [])
  const paths = (spec: unknown) => checkGatewayParameters(spec).map(({ path }) => path)
  assert.deepEqual(paths({ replicas: 0 }), ['spec.replicas'])
  assert.deepEqual(paths({ replica: 1 }), ['spec.replica'])
  assert.deepEqual(paths({ service: { type: 'ExternalName' } }), ['spec.service.type'])
  assert.deepEqual(paths({ service: { nodePorts: [{ port: 80 }] } }), ['spec.service.nodePorts[0].nodePort'])
  assert.deepEqual(paths({ pod: { resources: { limits: { memory: 'much' } } } }), ['spec.pod.resources.limits.memory'])
  assert.deepEqual(paths({ pod: { resources: { limits: { memory: 1_000_000, cpu: '0.5' } } } }), [])
  for (const garbage of ['x', 7, [], [null]]) assert.deepEqual(paths(garbage), ['spec'])
})
