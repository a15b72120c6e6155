import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SECTIONS } from '../../policies/sections.ts'
import { createValidator } from './validator.ts'

const validate = createValidator(SECTIONS)

function issuesOf(spec: object): readonly string[] {
  const apiVersion = 'hauberk.dev/v1alpha1'
  const found = validate({ apiVersion, kind: 'GatewayParameters', metadata: { name: 'edge' }, spec })
  return found.kind === 'invalid' ? found.issues.map(({ issue: { path, message } }) => `${path}: ${message}`) : []
}

test('parameters that cannot be meant are refused where they are written', () => {
  assert.deepEqual(issuesOf({}), [])
  assert.deepEqual(issuesOf({ service: { type: 'NodePort', loadBalancerClass: 'a.example/b' } }), [
    'spec.service: loadBalancerClass and loadBalancerSourceRanges are for type LoadBalancer',
  ])
  assert.deepEqual(issuesOf({ service: { type: 'ClusterIP', externalTrafficPolicy: 'Local' } }), [
    'spec.service: nodePorts and externalTrafficPolicy are not for type ClusterIP',
  ])
  assert.deepEqual(issuesOf({ service: { loadBalancerClass: 'a.example/b', externalTrafficPolicy: 'Local' } }), [])
})

test('no annotation loosens what a gateway may do', () => {
  const message = 'annotations of hauberk.dev, AppArmor and seccomp are not for parameters to say'
  for (const key of [
    'hauberk.dev/inject',
    'container.apparmor.security.beta.kubernetes.io/gateway',
    'seccomp.security.alpha.kubernetes.io/pod',
  ]) {
    const annotations = { 'example.com/fine': 'x', [key]: 'unconfined' }
    assert.deepEqual(issuesOf({ pod: { annotations } }), [`spec.pod.annotations: ${message}`])
    assert.deepEqual(issuesOf({ service: { annotations } }), [`spec.service.annotations: ${message}`])
  }
  const annotations = { 'service.beta.kubernetes.io/aws-load-balancer-type': 'nlb' }
  assert.deepEqual(issuesOf({ service: { annotations } }), [])
})
