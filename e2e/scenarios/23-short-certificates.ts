import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { sumOf } from '../world/metrics.ts'
import type { Scenario } from './scenario.ts'
import { assertNothingLost } from './under-load.ts'

export const shortCertificates: Scenario = {
  name: 'short-certificates',
  title: 'certificates come and go under load, and no request is lost',
  needsOwn: true,
  async *run(world) {
    const { leafLifetimeMs, soakMs } = world
    assert.ok(leafLifetimeMs, 'certificates live so shortly that renewals are seen')
    const { total } = await world.load()
    await sleep(Math.max(0, total.startedMs + soakMs - Date.now()))

    const leftMs: number[] = []
    for (const workload of world.workloads()) {
      const notAfterMs = sumOf(await world.metrics(workload), 'hauberk_certificate_not_after_seconds') * 1_000
      assert.ok(notAfterMs > Date.now(), `${workload}: the certificate has ended`)
      // Whatever it had when the load began has ended by now: it has been renewed, again and again.
      const rounds = Math.floor((notAfterMs - total.startedMs) / leafLifetimeMs)
      assert.ok(rounds >= Math.floor(soakMs / leafLifetimeMs), `${workload} has a certificate of round ${rounds}`)
      leftMs.push(notAfterMs - Date.now())
    }
    const [least = 0, most = 0] = [Math.min(...leftMs), Math.max(...leftMs)].map((ms) => Math.round(ms / 1_000))
    yield {
      sent: `${leftMs.length} workloads with certificates of ${leafLifetimeMs / 1_000} s`,
      got: `all renewed; ${least} to ${most} s left now`,
    }

    const count = await total.end()
    assertNothingLost(count)
    yield {
      sent: `${Math.round(count.durationMs / 1_000)} s of load: catalog, orders, storefront, logins, new orders`,
      got: `${count.sent} requests, ${count.ok} answered 2xx, 0 lost`,
    }
  },
}
