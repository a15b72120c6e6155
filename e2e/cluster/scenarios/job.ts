import assert from 'node:assert/strict'
import { echoApp } from '../apps.ts'
import { ready } from '../ready.ts'
import type { ClusterScenario } from '../scenario.ts'
import { scriptOf } from '../script.ts'

const NS = 'e2e-job'

export const job: ClusterScenario = {
  name: 'job',
  title: 'T09: the first call of a Job, and of an init container, goes through the mesh; and the Job completes',
  core: true,
  async *run({ kubectl, namespace }) {
    await namespace(NS)
    await kubectl.apply(await echoApp({ namespace: NS, name: 'server', callers: [`${NS}/job`] }))
    await ready(kubectl, NS, ['server'])
    await kubectl.run([
      'wait',
      '-n',
      NS,
      '--for=condition=Programmed',
      'securitypolicies.hauberk.dev/server',
      '--timeout=30s',
    ])
    const call = JSON.stringify(`${await scriptOf('call')}`)
    // One call, no second try: the container starts, calls, and says what it was answered.
    const container = (name: string) => `
      - name: ${name}
        image: hauberk-shop:0.1.0
        command: [sh, -c, 'echo "$ASK" | node --input-type=module --eval "$CALL"']
        env:
        - {name: ASK, value: '{"url": "http://server.${NS}/"}'}
        - {name: CALL, value: ${call}}`
    await kubectl.apply(`apiVersion: v1
kind: ServiceAccount
metadata: {name: job, namespace: ${NS}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: job, namespace: ${NS}}
spec:
  backoffLimit: 0
  template:
    metadata: {labels: {app: job}}
    spec:
      serviceAccountName: job
      restartPolicy: Never
      initContainers:${container('first')}
      containers:${container('second')}
`)
    await kubectl.run(['wait', '-n', NS, '--for=condition=Complete', 'job/job', '--timeout=120s'], {
      timeoutMs: 125_000,
    })
    for (const name of ['first', 'second']) {
      const log = await kubectl.run(['logs', '-n', NS, 'job/job', '-c', name])
      const { status, body } = JSON.parse(log) as { readonly status: number; readonly body: string }
      assert.equal(status, 200, body)
    }
    yield { sent: `an init container, then the Job’s own: GET http://server.${NS}/, once`, got: '200, 200' }
    const { status } = await kubectl.get(['job', '-n', NS, 'job'])
    assert.equal(status.succeeded, 1)
    yield {
      sent: 'kubectl wait --for=condition=Complete job/job',
      got: 'condition met',
      said: 'its sidecar ended with it',
    }
  },
}
