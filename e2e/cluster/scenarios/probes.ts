import assert from 'node:assert/strict'
import { echoApp } from '../apps.ts'
import { ready } from '../ready.ts'
import type { ClusterScenario } from '../scenario.ts'

const NS = 'e2e-probes'

export const probes: ClusterScenario = {
  name: 'probes',
  title: 'T32: probes and hooks of every kind work under Strict, and nobody but the kubelet starts them',
  core: true,
  async *run({ kubectl, namespace, podOf, sayFromOutside }) {
    await namespace(NS)
    await kubectl.apply(
      await echoApp({
        namespace: NS,
        name: 'server',
        callers: [`${NS}/nobody`],
        container: `        startupProbe: {httpGet: {path: /start, port: http, httpHeaders: [{name: X-Probe, value: start}]}, periodSeconds: 1, failureThreshold: 60}
        readinessProbe: {httpGet: {path: /ready, port: 8080}, periodSeconds: 1}
        livenessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1, failureThreshold: 5}
        lifecycle:
          preStop: {httpGet: {path: /stop, port: http}}
`,
      }),
    )
    await ready(kubectl, NS, ['server'])
    const { spec, status, metadata } = await podOf(`${NS}/server`)
    const container = spec.containers.find((one: { readonly name: string }) => one.name === 'app')
    assert.equal(container.readinessProbe.httpGet.port, 15_020)
    yield {
      sent: 'a pod with HTTP and TCP probes and a hook, under Strict',
      got: `ready, ${restartsOf(status)} restarts`,
    }

    const path = String(container.lifecycle.preStop.httpGet.path)
    const request = (target: string) => `GET ${target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`
    for (const target of [path, '/app-health/app/readiness', '/drain', '/', '/metrics', 'http://127.0.0.1:8080/']) {
      const heard = await sayFromOutside({ host: String(status.podIP), port: 15_020, bytes: request(target) })
      assert.match(heard.text, /^HTTP\/1\.1 (?:400|401|403|404) /, `${target}: ${heard.text.slice(0, 80)}`)
    }
    yield { sent: `a neighbour asks the probe port for ${path}, /drain, / and more, without the key`, got: '4xx' }

    // A probe that fails is still seen as failing: the sidecar passes on what the app says.
    await kubectl.run([
      'patch',
      '-n',
      NS,
      'deployment/server',
      '--type=strategic',
      '-p',
      JSON.stringify({
        spec: { template: { spec: { containers: [{ name: 'app', readinessProbe: { httpGet: { port: 8089 } } }] } } },
      }),
    ])
    await kubectl.run(['wait', '-n', NS, '--for=condition=Available', 'deployment/server', '--timeout=30s'])
    const waiting = await kubectl
      .run(['rollout', 'status', '-n', NS, 'deployment/server', '--timeout=15s'])
      .catch((error: Error) => error.message)
    assert.match(waiting, /timed out|exceeded/)
    yield { sent: 'the readiness probe names a port where nothing listens', got: 'the new pod stays unready' }
    assert.ok(metadata.name)
  },
}

function restartsOf(status: { readonly containerStatuses?: readonly { readonly restartCount: number }[] }): number {
  return (status.containerStatuses ?? []).reduce((sum, { restartCount }) => sum + restartCount, 0)
}
