import type { Command } from 'commander'
import { runOperator } from '../operator/main.ts'
import { readOperatorOptions } from '../operator/options.ts'
import { endSignal, exitWith } from './end-signal.ts'
import { release } from './release.ts'

/** `hauberk operator`: what `hauberk dev` starts once. */
export function defineOperator(command: Command): void {
  command
    .requiredOption('--options <file>', 'everything that the operator is told, as JSON (0600)')
    .option('--exit-with-parent', 'end when the process that started it ends', false)
    .addHelpText('after', '\nExample:\n  hauberk operator --options .hauberk/run/operator.json')
    .action(async ({ options, exitWithParent }: { options: string; exitWithParent: boolean }) => {
      const signal = endSignal({ exitWithParent })
      await exitWith(readOperatorOptions(options).then((read) => runOperator(read, release(), signal)))
    })
}
