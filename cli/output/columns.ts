import { stripVTControlCharacters } from 'node:util'

/** A line of cells, and lines that stand below its last cell. */
export interface Row {
  readonly cells: readonly string[]
  readonly below?: readonly string[]
}

/** Cells padded to the widest of their column, two blanks between, no blanks at a line's end. All rows have the same number. */
export function columnsOf(rows: readonly Row[]): string {
  const [first] = rows
  if (first === undefined) return ''
  const last = first.cells.length - 1
  const widths = first.cells.slice(0, last).map((_, i) => Math.max(...rows.map(({ cells }) => widthOf(cells[i] ?? ''))))
  const indent = ' '.repeat(widths.reduce((sum, width) => sum + width + GAP.length, 0))
  return rows
    .flatMap(({ cells, below = [] }) => [
      cells.map((cell, i) => (i === last ? cell : cell + ' '.repeat((widths[i] ?? 0) - widthOf(cell)))).join(GAP),
      ...below.map((line) => indent + line),
    ])
    .map((line) => `${line.trimEnd()}\n`)
    .join('')
}

const GAP = '  '

function widthOf(cell: string): number {
  return [...stripVTControlCharacters(cell)].length
}
