import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { KeyAndChain } from '../world/certificates.ts'
import type { World } from '../world/world.ts'

const run = promisify(execFile)

/** Runs generators: on their core, and with a client certificate whether or not they know any. */
export interface Tools {
  /** A file of the first `count` good tokens, one a line; undefined when there are none. */
  tokenFile(count: number): Promise<string | undefined>
  /** The same of tokens whose signature is altered. */
  alteredTokenFile(count: number): Promise<string>
  /** Resolves with stdout. `as`: whose certificate; absent: the client's. `alpn`: what is offered, in order of preference. */
  run(
    command: readonly string[],
    options: { readonly alpn: readonly string[]; readonly as?: KeyAndChain },
  ): Promise<string>
}

/** What is offered for HTTP/1.1: ours, and what others know. */
export const HTTP1_ALPN: readonly string[] = ['hauberk/http1', 'http/1.1']

/** What is offered for HTTP/2. */
export const HTTP2_ALPN: readonly string[] = ['hauberk/http2', 'h2']

const MAX_OUTPUT_BYTES = 64 * 2 ** 20

export async function makeTools({ directory, certificates, cores, tokens }: World): Promise<Tools> {
  const shim = join(directory, 'client-certificate.so')
  const source = join(import.meta.dirname, 'client-certificate.c')
  await run('gcc', ['-O2', '-shared', '-fPIC', '-o', shim, source, '-lssl', '-ldl'])
  const files = new Map<KeyAndChain, { readonly chain: string; readonly key: string }>()
  const filesOf = async (certificate: KeyAndChain) => {
    const known = files.get(certificate)
    if (known !== undefined) return known
    const chain = join(directory, `client-${files.size}.crt`)
    const key = join(directory, `client-${files.size}.key`)
    await writeFile(chain, certificate.chain)
    await writeFile(key, certificate.privateKey, { mode: 0o600 })
    files.set(certificate, { chain, key })
    return { chain, key }
  }
  const tokenFiles = new Map<number, string>()
  return {
    async tokenFile(count) {
      if (count === 0) return undefined
      const known = tokenFiles.get(count)
      if (known !== undefined) return known
      const file = join(directory, `tokens-${count}.txt`)
      await writeLines(file, tokens.valid.slice(0, count))
      tokenFiles.set(count, file)
      return file
    },
    async alteredTokenFile(count) {
      const file = join(directory, `altered-${count}.txt`)
      if (!existsSync(file)) await writeLines(file, tokens.altering(count))
      return file
    },
    async run(command, { alpn, as = certificates.client }) {
      const { chain, key } = await filesOf(as)
      const env = { ...process.env, LD_PRELOAD: shim, BENCH_CHAIN: chain, BENCH_KEY: key, BENCH_ALPN: wire(alpn) }
      const { stdout } = await run('taskset', ['-c', String(cores.rest), ...command], {
        env,
        maxBuffer: MAX_OUTPUT_BYTES,
      })
      return stdout
    },
  }
}

function writeLines(file: string, lines: readonly string[]): Promise<void> {
  return writeFile(file, lines.map((line) => `${line}\n`).join(''), { mode: 0o600 })
}

/** RFC 7301, 3.1. */
function wire(names: readonly string[]): string {
  return names.map((name) => String.fromCharCode(name.length) + name).join('')
}
