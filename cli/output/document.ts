import { stringify } from 'yaml'
import type { Output } from '../paint.ts'

/** Prints one value for programs, whole. */
export function printDocument(value: unknown, format: 'json' | 'yaml', out: Output): void {
  // JSON first, so that what is undefined is left out of both alike.
  const json = JSON.stringify(value, undefined, 2)
  out.write(format === 'json' ? `${escapeJson(json)}\n` : stringify(JSON.parse(json), { lineWidth: 0 }))
}

/** JSON leaves DEL, the C1 controls and what turns the direction of text as they are. It means the same with them escaped. */
export function escapeJson(json: string): string {
  return json.replace(/[\u007f-\u009f\u2028\u2029]|\p{Cf}/gu, (found) =>
    found
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  )
}
