import { readFile } from 'node:fs/promises'
import { get } from 'node:http'
import { text } from 'node:stream/consumers'

/** Milliseconds that an admin port of this machine has for an answer. */
const TIMEOUT_MS = 5_000

/** Where an admin port is, and the file with the token that it wants. */
export interface AdminPort {
  readonly port: number
  readonly tokenFile: string
}

/** The body that a route of an admin port answers with; rejects for anything but 200. */
export async function askAdmin({ port, tokenFile }: AdminPort, path: string): Promise<string> {
  const token = (await readFile(tokenFile, 'utf8')).trim()
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}` }
    const signal = AbortSignal.timeout(TIMEOUT_MS)
    get({ host: '127.0.0.1', port, path, headers, agent: false, signal }, (response) => {
      text(response).then((body) => {
        if (response.statusCode === 200) resolve(body)
        else reject(new Error(`port ${port} answered ${response.statusCode} to ${path}`))
      }, reject)
    }).on('error', reject)
  })
}
