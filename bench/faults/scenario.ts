/** What a scenario is handed. */
export interface FaultTools {
  /** Of this scenario alone: gone afterwards. */
  readonly directory: string
  /** The product's own bundle, made from this tree. */
  readonly bundle: string
  /** A short run shows that the scenario works, with fewer connections and less time under load. */
  readonly isShort: boolean
}

/** One fault, and what must happen. */
export interface FaultScenario {
  /** Kebab-case, as in the file's name. */
  readonly name: string
  /** A sentence; before it, and a colon, the rows of docs/security.md that it shows: `F12: ...`. */
  readonly title: string
  /** What this machine lacks for it, as a sentence; undefined: nothing. */
  lacks?(): string | undefined
  /** Runs in a network of its own, so that packets can be dropped in it. */
  readonly isIsolated?: true
  /** Yields a line for each thing that was shown; throws when something is not as it must be. */
  run(tools: FaultTools): AsyncIterable<string>
}
