import { flushCompileCache } from 'node:module'
import type { Command } from 'commander'
import { runSidecar } from '../sidecar/main.ts'
import { readSidecarOptions } from '../sidecar/options.ts'
import { endSignal, exitWith } from './end-signal.ts'
import { release } from './release.ts'

/** `hauberk sidecar`: what `hauberk dev` starts for each workload and Gateway. */
export function defineSidecar(command: Command): void {
  command
    .requiredOption('--options <file>', 'everything that the sidecar is told, as JSON (0600)')
    .option('--exit-with-parent', 'end when the process that started it ends', false)
    .addHelpText('after', '\nExample:\n  hauberk sidecar --options .hauberk/workloads/shop.orders/sidecar.json')
    .action(async ({ options, exitWithParent }: { options: string; exitWithParent: boolean }) => {
      // Whoever is started next loads what this process has compiled.
      flushCompileCache()
      const signal = endSignal({ exitWithParent })
      await exitWith(readSidecarOptions(options).then((read) => runSidecar(read, release(), signal)))
    })
}
