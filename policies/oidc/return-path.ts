/** Characters of a page's path and query that are remembered through a login. */
export const MAX_RETURN_PATH = 1_024

const HOME = '/'

/**
 * Where a browser goes after a login: a path at the same origin, whatever it was asked to be. `//host` and `/\host` lead elsewhere
 * (URL, 4.4), and so does what a browser makes one of them of: it leaves out tabs and line ends.
 */
export function returnPath(wanted: string): string {
  if (wanted.length > MAX_RETURN_PATH || !PATH.test(wanted)) return HOME
  return wanted
}

/** Visible ASCII without a backslash; what follows the first slash is no second one. */
const PATH = /^\/(?:$|[\x21-\x2e\x30-\x5b\x5d-\x7e][\x21-\x5b\x5d-\x7e]*$)/
