import type { WorkloadConfig } from '../contract/workload-config.ts'
import { CommandError, EXIT } from './exit-code.ts'

/**
 * The workload that somebody means by a word: its id (`shop/orders`), its name where no other namespace has one of that
 * name, or `gateway` where there is one gateway. Ends the command when that is none or several.
 */
export function findWorkload<T extends Pick<WorkloadConfig, 'workload' | 'role'>>(
  word: string,
  workloads: Iterable<T>,
): T {
  const all = [...workloads]
  const exact = all.find(({ workload }) => workload === word)
  if (exact !== undefined) return exact
  const meant = all.filter(
    ({ workload, role }) => workload.endsWith(`/${word}`) || (word === 'gateway' && role === 'gateway'),
  )
  const [only, ...others] = meant
  if (only !== undefined && others.length === 0) return only
  const names = (meant.length > 0 ? meant : all).map(({ workload }) => workload).sort()
  throw new CommandError(
    EXIT.failure,
    meant.length > 0
      ? `${word} may be ${names.join(' or ')}: say which`
      : `there is no workload ${word}${names.length === 0 ? '' : `; there is ${names.join(', ')}`}`,
  )
}
