import assert from 'node:assert/strict'
import type { LoadCount, LoadWindow } from '../world/load.ts'

/** Ends a window, holds that nothing was lost in it, and says so. */
export async function lossesIn(window: LoadWindow): Promise<string> {
  const count = await window.end()
  assertNothingLost(count)
  return `${count.sent} requests sent, ${count.ok} answered 2xx, 0 lost`
}

export function assertNothingLost({ sent, ok, lost }: LoadCount): void {
  const told = lost.slice(0, 5).map(({ timeMs, task, why }) => `${new Date(timeMs).toISOString()} ${task} ${why}`)
  assert.equal(lost.length, 0, `${lost.length} of ${sent} requests were lost:\n${told.join('\n')}`)
  assert.equal(ok, sent)
  assert.ok(sent > 0, 'the load sends something')
}
