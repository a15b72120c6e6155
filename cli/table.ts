import { stripVTControlCharacters } from 'node:util'

/** One column of a table. */
export interface Column<T> {
  /** In capitals, as kubectl has it. */
  readonly title: string
  /** One line; it may be styled. */
  cell(row: T): string
}

/** Rows below a line of titles, columns padded to their widest cell with three blanks between; no blanks at a line's end. */
export function formatTable<T>(rows: readonly T[], columns: readonly Column<T>[]): string {
  const lines = [columns.map(({ title }) => title), ...rows.map((row) => columns.map(({ cell }) => cell(row)))]
  const widths = columns.map((_, i) => Math.max(...lines.map((cells) => widthOf(cells[i] ?? ''))))
  return lines
    .map((cells) => cells.map((cell, i) => cell + ' '.repeat((widths[i] ?? 0) - widthOf(cell))).join('   '))
    .map((line) => `${line.trimEnd()}\n`)
    .join('')
}

function widthOf(cell: string): number {
  return [...stripVTControlCharacters(cell)].length
}
