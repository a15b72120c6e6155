import { readFile } from 'node:fs/promises'

/** The admin port of a sidecar or operator. */
export interface AdminPort {
  readonly port: number
  readonly tokenFile: string
}

/** What an admin route answers, as text; throws for anything but 200. */
export async function askAdmin({ port, tokenFile }: AdminPort, path: string): Promise<string> {
  const token = (await readFile(tokenFile, 'utf8')).trim()
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    headers: { authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(5_000),
  })
  const text = await response.text()
  if (response.status !== 200) throw new Error(`${path} of port ${port} answered ${response.status}: ${text}`)
  return text
}
