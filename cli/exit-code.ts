/** What the exit code of `hauberk` says. */
export const EXIT = {
  ok: 0,
  failure: 1,
  /** The command line itself is wrong. */
  usage: 2,
  /** The command worked, and found something wrong in what it was given. */
  findings: 79,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** Ends a command. The message, if there is one, is printed to stderr, what would write to a terminal escaped. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly exitCode: ExitCode

  constructor(exitCode: ExitCode, message = '', options?: ErrorOptions) {
    super(message, options)
    this.exitCode = exitCode
  }
}
