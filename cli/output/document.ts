import { stringify } from 'yaml'
import type { Output } from '../paint.ts'

/** Prints one value for programs, whole. */
export function printDocument(value: unknown, format: 'json' | 'yaml', out: Output): void {
  // JSON first, so that what is undefined is left out of both alike.
  const json = JSON.stringify(value, undefined, 2)
  out.write(format === 'json' ? `${json}\n` : stringify(JSON.parse(json), { lineWidth: 0 }))
}
