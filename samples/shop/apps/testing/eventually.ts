/** Tries until it does not throw, for at most 30 s; then throws what it threw last. */
export async function eventually<T>(attempt: () => Promise<T> | T): Promise<T> {
  const deadline = Date.now() + 30_000
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (Date.now() > deadline) throw error
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
