/** Resolves once `condition` holds; fails when it does not within `deadlineMs`. For tests: nothing sleeps a fixed time. */
export async function until(condition: () => boolean, what: string, deadlineMs = 5_000): Promise<void> {
  const lateAt = performance.now() + deadlineMs
  while (!condition()) {
    if (performance.now() > lateAt) throw new Error(`not within ${deadlineMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}
