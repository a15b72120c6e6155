import { createServer } from 'node:net'

const given = new Set<number>()

/** A port of loopback that nobody had a moment ago, and that nobody else in this run is given. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = await new Promise<number>((resolve, reject) => {
      const server = createServer()
      server.once('error', reject)
      server.listen(0, '127.0.0.1', () => {
        const address = server.address()
        server.close(() => (typeof address === 'object' && address !== null ? resolve(address.port) : reject()))
      })
    })
    if (given.has(port)) continue
    given.add(port)
    return port
  }
}
