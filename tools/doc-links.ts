import { posix } from 'node:path'

/** `[text](target)`, but for what is in code. */
const LINK = /\[[^\]]*\]\(([^)\s]+)\)/g
const FENCED = /^( *)(```|~~~)[^\n]*\n[\s\S]*?^\1\2\s*$/gm
const CODE = /`[^`\n]*`/g
const HEADING = /^#{1,6} +(.+)$/gm
const ANCHOR = /<a id="([^"]+)"><\/a>/g

/**
 * Links of Markdown pages to files and headings of the repository that are not there, as `FILE: TARGET`. `pages` are texts by
 * path from the root; `exists` says of any other path whether it is there. Addresses on the web are not looked at.
 */
export function brokenLinks(pages: ReadonlyMap<string, string>, exists: (path: string) => boolean): readonly string[] {
  const broken: string[] = []
  for (const [page, text] of pages) {
    for (const [, target = ''] of text.replace(FENCED, '').replace(CODE, '').matchAll(LINK)) {
      if (/^[a-z]+:/.test(target)) continue
      const [path = '', fragment] = target.split('#', 2)
      const file = path === '' ? page : posix.join(posix.dirname(page), path)
      const linked = pages.get(file)
      const isThere = linked === undefined ? exists(file) : fragment === undefined || anchorsOf(linked).has(fragment)
      if (!isThere) broken.push(`${page}: ${target}`)
    }
  }
  return broken
}

/** Names that a link may end with: headings as GitHub writes them, and anchors that the text sets itself. */
function anchorsOf(text: string): ReadonlySet<string> {
  const anchors = new Set([...text.matchAll(ANCHOR)].map(([, id = '']) => id))
  for (const [, heading = ''] of text.replace(FENCED, '').matchAll(HEADING)) {
    const slug = heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-')
    let unique = slug
    for (let n = 1; anchors.has(unique); n++) unique = `${slug}-${n}`
    anchors.add(unique)
  }
  return anchors
}
