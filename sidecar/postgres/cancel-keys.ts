/** Whose sessions may be cancelled by what. As many as there are sessions, which the connection table bounds. */
export class CancelKeys {
  readonly #callers = new Map<string, string>()

  get size(): number {
    return this.#callers.size
  }

  /** `caller` is who the session belongs to. Returns what forgets it again. */
  add(key: string, caller: string): () => void {
    this.#callers.set(key, caller)
    return () => {
      // A process id may have come again for another session by then.
      if (this.#callers.get(key) === caller) this.#callers.delete(key)
    }
  }

  belongsTo(key: string, caller: string | undefined): boolean {
    return caller !== undefined && this.#callers.get(key) === caller
  }
}
