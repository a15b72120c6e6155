import { request } from 'node:http'
import { readAdminToken } from './admin-token.ts'
import type { PodOptions } from './options.ts'

const TIMEOUT_MS = 10_000

/**
 * Asks the sidecar that runs in this container for a path of its admin port, and prints the answer: for whoever may
 * execute programs here. Resolves with the exit code.
 */
export async function askAdmin(path: string, { ports, paths }: Pick<PodOptions, 'ports' | 'paths'>): Promise<number> {
  const token = await readAdminToken(paths.state)
  if (token === undefined) throw new Error(`there is no admin token in ${paths.state}: no sidecar has run here`)
  return new Promise((resolve, reject) => {
    const call = request({
      host: '127.0.0.1',
      port: ports.admin,
      path,
      headers: { authorization: `Bearer ${token}` },
      timeout: TIMEOUT_MS,
    })
    call.once('timeout', () => call.destroy(new Error('no answer')))
    call.once('error', (cause) => reject(new Error('the sidecar does not answer on its admin port', { cause })))
    call.once('response', (response) => {
      const isGood = response.statusCode === 200
      if (isGood && path.startsWith('/tap')) {
        // It has no end of its own. Whoever reads it says by closing our input that nobody does any more.
        const end = () => {
          call.destroy()
          resolve(0)
        }
        process.stdin.resume().once('end', end).once('error', end)
        process.stdout.once('error', end)
      }
      response.pipe(isGood ? process.stdout : process.stderr, { end: false })
      response.once('error', reject)
      response.once('end', () => resolve(isGood ? 0 : 1))
    })
    call.end()
  })
}
