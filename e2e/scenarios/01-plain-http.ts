import assert from 'node:assert/strict'
import { headerOf } from '../world/answer.ts'
import type { Scenario } from './scenario.ts'

export const plainHttp: Scenario = {
  name: 'plain-http',
  title: 'plain HTTP gets one answer: come back with TLS',
  async *run({ gateway, decisions }) {
    for (const [method, path] of [
      ['GET', '/api/catalog/products?first=3'],
      ['POST', '/auth/token'],
    ] as const) {
      const since = Date.now()
      const answer = await gateway.ask({ method, path, plain: true })
      assert.equal(answer.status, 308)
      assert.equal(headerOf(answer, 'location'), `${gateway.redirectsTo}${path}`)
      const decision = await decisions.find(
        'redirect by the gateway',
        since,
        (one) => one.direction === 'gateway' && one.status === 308 && one.method === method,
      )
      yield {
        sent: `${method} http://${gateway.hostname}:${gateway.httpPort}${path}`,
        got: `308, Location: ${headerOf(answer, 'location')}`,
        said: `${decision.workload}: ${decision.outcome}, listener ${decision.listener}`,
      }
    }
  },
}
