import type { Server } from 'node:net'
import type { BackendAnswer, BackendAsk } from './child-backend.ts'

/** The other side of `startChildBackend`: listens when it is told to, and says how much was answered. */
export function serveAsks(server: Server, answered: () => number): void {
  const say = (answer: BackendAnswer) => void process.send?.(answer)
  process.on('message', (message) => {
    if ((message as BackendAsk).type === 'count') return say({ type: 'counted', answered: answered() })
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      if (typeof address === 'object' && address !== null) say({ type: 'started', port: address.port })
    })
  })
  process.on('disconnect', () => process.exit())
}
