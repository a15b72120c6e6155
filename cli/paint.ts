import { styleText } from 'node:util'

export type Style = Parameters<typeof styleText>[0]

/** Where text goes, as far as colours care. */
export type Output = NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number }

/** Styles text for a terminal that shows it. A pipe gets the bare text, and so does whoever set NO_COLOR. */
export type Paint = (style: Style, text: string) => string

export function painterOf(stream: Output): Paint {
  return (style, text) => styleText(style, text, { stream: stream as NodeJS.WriteStream, validateStream: true })
}
