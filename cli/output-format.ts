import { type Command, Option } from 'commander'
import { stringify } from 'yaml'
import type { Output } from './paint.ts'
import { type Column, formatTable } from './table.ts'

export const OUTPUT_FORMATS = ['table', 'json', 'yaml'] as const
export type OutputFormat = (typeof OUTPUT_FORMATS)[number]

/** Adds `-o, --output table|json|yaml` to a command that lists something. */
export function addOutputOption(command: Command): Command {
  return command.addOption(
    new Option('-o, --output <format>', 'how to print what is listed').choices(OUTPUT_FORMATS).default('table'),
  )
}

/** Prints a list: people get the columns, programs get the rows whole. */
export function printList<T>(
  rows: readonly T[],
  {
    format,
    columns,
    out,
  }: { readonly format: OutputFormat; readonly columns: readonly Column<T>[]; readonly out: Output },
): void {
  switch (format) {
    case 'table':
      out.write(formatTable(rows, columns))
      return
    case 'json':
      out.write(`${JSON.stringify(rows, undefined, 2)}\n`)
      return
    case 'yaml':
      out.write(stringify(rows))
  }
}
