import type { Command } from 'commander'

/** Adds `-f, --file`, which may be given several times. */
export function addFileOption(command: Command): Command {
  command.configureOutput({
    outputError: (text, write) =>
      write(text.includes('too many arguments') ? `${text}files and directories are named with -f\n` : text),
  })
  return command.option(
    '-f, --file <path>',
    'a file, directory or glob of Kubernetes YAML; may be given several times',
    (path: string, before: readonly string[] | undefined) => [...(before ?? []), path],
  )
}
