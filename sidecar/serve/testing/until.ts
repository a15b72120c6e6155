/**
 * Resolves once `condition` holds; fails when it does not within `deadlineMs`, which is for what never comes: a busy machine may take
 * long for what does. For tests: nothing sleeps a fixed time.
 */
export async function until(condition: () => boolean, what: string, deadlineMs = 30_000): Promise<void> {
  const lateAt = performance.now() + deadlineMs
  while (!condition()) {
    if (performance.now() > lateAt) throw new Error(`not within ${deadlineMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}
