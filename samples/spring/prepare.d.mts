/** What is missing, as a sentence; undefined: the jar is there, and newer than its sources. */
export function prepare(): string | undefined
