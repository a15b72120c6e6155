import { spawn } from 'node:child_process'

/**
 * Why the rules could not be written or read. `no-program`: the image has no `nft`. `not-permitted`: the process is not
 * user 0 with NET_ADMIN. `no-support`: the kernel lacks nf_tables or its NAT. `refused`: it said no to these rules.
 */
export type FirewallFailure = 'no-program' | 'not-permitted' | 'no-support' | 'refused'

export class FirewallError extends Error {
  override readonly name = 'FirewallError'
  readonly code: FirewallFailure

  constructor(code: FirewallFailure, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
  }
}

/** Puts the rules in force, all of them or none. Rejects with a {@link FirewallError}. */
export async function applyRuleset(ruleset: string): Promise<void> {
  await nft(['-f', '-'], ruleset)
}

/** The table as the kernel has it, in nft's JSON (libnftables-json(5)). Rejects with a {@link FirewallError}. */
export async function readTable(name: string): Promise<unknown> {
  const text = await nft(['-j', 'list', 'table', 'inet', name], '')
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new FirewallError('refused', 'nft did not answer in JSON', cause)
  }
}

/** Milliseconds that one call of nft may take; it takes ten. */
const TIMEOUT_MS = 10_000
/** Bytes of nft's output at most. The longest ruleset lists in a tenth of that. */
const MAX_OUTPUT_BYTES = 4_194_304

/** Where distributions have it. Looked for nowhere else: what runs here runs with NET_ADMIN. */
const SEARCH_PATH = '/usr/sbin:/sbin:/usr/bin:/bin'

function nft(args: readonly string[], input: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('nft', args, { env: { PATH: SEARCH_PATH, LC_ALL: 'C' }, timeout: TIMEOUT_MS })
    const output = collect(child.stdout)
    const complaints = collect(child.stderr)
    child.on('error', (cause: NodeJS.ErrnoException) => {
      reject(new FirewallError('no-program', `nft could not be started: ${cause.code ?? cause.message}`, cause))
    })
    child.on('close', (code) => {
      if (code === 0) resolve(output())
      else reject(refusalOf(complaints().trim() || `nft ended with ${code ?? 'a signal'}`))
    })
    // It ends without reading where it may do nothing at all.
    child.stdin.on('error', () => {})
    child.stdin.end(input)
  })
}

function collect(stream: NodeJS.ReadableStream): () => string {
  const chunks: Buffer[] = []
  let total = 0
  stream.on('data', (chunk: Buffer) => {
    total += chunk.length
    if (total <= MAX_OUTPUT_BYTES) chunks.push(chunk)
  })
  return () => Buffer.concat(chunks).toString('utf8')
}

/** By the text of errno: nft gives nothing else. */
function refusalOf(complaint: string): FirewallError {
  if (/Operation not permitted|Permission denied|must be root/i.test(complaint)) {
    return new FirewallError('not-permitted', complaint)
  }
  if (/not supported|No such file or directory|No buffer space|Unable to initialize Netlink/i.test(complaint)) {
    return new FirewallError('no-support', complaint)
  }
  return new FirewallError('refused', complaint)
}
