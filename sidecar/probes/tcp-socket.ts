import { connect } from 'node:net'
import { PASSED, type ProbeOutcome, type ProbeTarget, unanswered } from './outcome.ts'

/** A TCP probe: somebody accepts. */
export function probeTcp({ port }: { readonly port: number }, { host, signal }: ProbeTarget): Promise<ProbeOutcome> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, signal })
    socket.once('connect', () => {
      socket.destroy()
      resolve(PASSED)
    })
    socket.on('error', (error) => resolve(unanswered(error)))
  })
}
