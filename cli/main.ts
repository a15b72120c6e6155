import { realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Command, CommanderError } from 'commander'
import { CommandError, EXIT, type ExitCode } from './exit-code.ts'
import { printableLines } from './printable.ts'
import { release } from './release.ts'

/** A word that `hauberk` understands. What it does is loaded only when it is said: a sidecar never loads the operator. */
export interface Verb {
  readonly name: string
  /** One line, for the list of all verbs. */
  readonly summary: string
  /** True for what `hauberk` starts by itself. */
  readonly hidden?: true
  /** Gives what adds options, help and the action to the verb's command. The action throws a CommandError to end with another code than 0. */
  load(): Promise<(command: Command) => void>
}

export const VERBS: readonly Verb[] = [
  {
    name: 'dev',
    summary: 'run the mesh on this machine, from the YAML that Kubernetes takes',
    load: async () => (await import('./dev.ts')).defineDev,
  },
  {
    name: 'check',
    summary: 'say what is wrong with files, or how a mesh that runs is doing',
    load: async () => (await import('./check.ts')).defineCheck,
  },
  {
    name: 'translate',
    summary: 'print what sidecars would be sent',
    load: async () => (await import('./translate.ts')).defineTranslate,
  },
  {
    name: 'explain',
    summary: 'say why a request is let through or refused, and what would change that',
    load: async () => (await import('./explain.ts')).defineExplain,
  },
  {
    name: 'inject',
    summary: 'put the sidecar into the pods of YAML files, as the webhook would',
    load: async () => (await import('./inject.ts')).defineInject,
  },
  {
    name: 'certs',
    summary: 'show the certificates of a mesh that runs, or judge certificates in files',
    load: async () => (await import('./certs.ts')).defineCerts,
  },
  {
    name: 'status',
    summary: 'show the policies and workloads of a mesh that runs, and who obeys',
    load: async () => (await import('./status.ts')).defineStatus,
  },
  {
    name: 'edges',
    summary: 'show who calls whom, as whom, and over what',
    load: async () => (await import('./edges.ts')).defineEdges,
  },
  {
    name: 'top',
    summary: 'show what goes over which edge right now',
    load: async () => (await import('./top.ts')).defineTop,
  },
  {
    name: 'tap',
    summary: 'show decisions as they are made',
    load: async () => (await import('./tap.ts')).defineTap,
  },
  {
    name: 'ca',
    summary: 'show the roots of a mesh that runs, or have one replaced',
    load: async () => (await import('./ca.ts')).defineCa,
  },
  {
    name: 'api-key',
    summary: 'make, list and revoke API keys in the YAML of their Secret',
    load: async () => (await import('./api-key.ts')).defineApiKey,
  },
  {
    name: 'revoke',
    summary: 'have sidecars refuse tokens that have not expired',
    load: async () => (await import('./revoke.ts')).defineRevoke,
  },
  {
    name: 'audit',
    summary: 'say whether an audit log is as it was written',
    load: async () => (await import('./audit.ts')).defineAudit,
  },
  {
    name: 'operator',
    summary: 'run an operator of the local mesh',
    hidden: true,
    load: async () => (await import('./operator.ts')).defineOperator,
  },
  {
    name: 'sidecar',
    summary: 'run a sidecar or gateway of the local mesh',
    hidden: true,
    load: async () => (await import('./sidecar.ts')).defineSidecar,
  },
  {
    name: 'reap',
    summary: 'end process groups whose starter died',
    hidden: true,
    load: async () => (await import('./reap.ts')).defineReap,
  },
]

/** Runs one command line (without `node` and the script) and gives the exit code. */
export async function run(args: readonly string[], verbs: readonly Verb[] = VERBS): Promise<ExitCode> {
  const program = new Command('hauberk')
    .description('A zero-trust security mesh for Kubernetes, and for a laptop.')
    .version(release(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [verb]', 'print the help of a verb')
    .addHelpText(
      'after',
      `\nExamples:\n${EXAMPLES}\n\nExit codes: 0 well, 1 failed, 2 wrong usage, 79 something was found.`,
    )
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text) })
  const said = saidVerb(args)
  for (const verb of verbs) {
    const command = program
      .command(verb.name, verb.hidden === true ? { hidden: true } : {})
      .description(`${verb.summary.charAt(0).toUpperCase()}${verb.summary.slice(1)}.`)
      .summary(verb.summary)
    if (verb.name === said) (await verb.load())(command)
  }
  if (args.length === 0) {
    program.outputHelp()
    return EXIT.ok
  }
  try {
    await program.parseAsync(args, { from: 'user' })
    return EXIT.ok
  } catch (error) {
    if (error instanceof CommandError) {
      if (error.message !== '') process.stderr.write(`${printableLines(error.message)}\n`)
      return error.exitCode
    }
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
    process.stderr.write(`hauberk ${said ?? ''}: ${error instanceof Error ? (error.stack ?? error.message) : error}\n`)
    return EXIT.failure
  }
}

const EXAMPLES = `  hauberk dev -f samples/shop     run the sample shop and everything that protects it
  hauberk check -f samples/shop   say what is wrong with its files, before anybody obeys them
  hauberk check                   is the mesh of the cluster, or of this machine, as it should be
  hauberk help dev                what else dev can do`

/** The verb of a command line, and of `help VERB`. */
function saidVerb(args: readonly string[]): string | undefined {
  const words = args.filter((word) => !word.startsWith('-'))
  return words[0] === 'help' ? words[1] : words[0]
}

/** bin/hauberk.mjs imports this file and says so in argv: then too it is the program that was started. */
function isProgram(): boolean {
  const script = process.argv[1]
  try {
    return script !== undefined && realpathSync(script) === realpathSync(fileURLToPath(import.meta.url))
  } catch {
    return false
  }
}

if (isProgram()) {
  // Whoever reads has seen enough: `hauberk check | head`.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
  process.exitCode = await run(process.argv.slice(2))
}
