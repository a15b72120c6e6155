/**
 * What is wrong with running on this Node version (`process.version`), as one sentence, or `undefined` when nothing is
 * known. To be logged once at start by the operator and the sidecar; not a reason to refuse to start.
 */
export function runtimeWarning(version: string): string | undefined {
  const parsed = parseVersion(version)
  if (!parsed) return `the runtime version ${version} is not understood`
  const [major] = parsed
  if (major < OLDEST_LINE) {
    return `Node ${version} is end-of-life, resumes TLS sessions across client CAs and truncates headers: use Node ${RECOMMENDED} or newer`
  }
  const patched = PATCHED.get(major)
  if (!patched) {
    // Odd lines live for half a year and never get long-term support.
    return major % 2 === 1 ? `Node ${version} is end-of-life: use Node ${RECOMMENDED} or newer` : undefined
  }
  if (compareVersions(parsed, patched) >= 0) return undefined
  return `Node ${version} has published vulnerabilities: use ${patched.join('.')} or newer`
}

type Version = readonly [major: number, minor: number, patch: number]

/**
 * The first release of each supported line without the vulnerabilities published by October 2026, among them hostname
 * checks of TLS that could be evaded (CVE-2026-58040, CVE-2026-106069). Source: the Node.js security working group's
 * `vuln/core`.
 */
const PATCHED: ReadonlyMap<number, Version> = new Map([
  [24, [24, 22, 1]],
  [26, [26, 12, 1]],
])

const OLDEST_LINE = 24
const RECOMMENDED = '24.22.1'

function parseVersion(version: string): Version | undefined {
  const match = /^v?(\d{1,4})\.(\d{1,4})\.(\d{1,4})/.exec(version)
  return match ? [Number(match[1]), Number(match[2]), Number(match[3])] : undefined
}

function compareVersions(a: Version, b: Version): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2]
}
