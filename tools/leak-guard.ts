/**
 * Preloaded into every test process: a file whose tests are over and that does not end by itself has left something
 * open. It is given 20 seconds, then it fails and says what kind of thing that is, instead of holding up the whole run.
 */
import { after } from 'node:test'
import { isMainThread } from 'node:worker_threads'

const GRACE_MS = 20_000

// A thread that a test starts has the same flags and environment, and no tests of its own to be over.
if (isMainThread && process.env['NODE_TEST_CONTEXT']?.startsWith('child')) {
  // With the loop empty and every test told, Node closes what handles are left, and now and then (24.21) it never comes to
  // an end with that: a process that spins holds up the whole run. Nothing of ours is to be done there.
  process.once('exit', (code) => {
    ;(process as unknown as { reallyExit(code: number): never }).reallyExit(code)
  })
  after(() => {
    setTimeout(() => {
      const open = process.getActiveResourcesInfo().join(', ')
      process.stderr.write(`${process.argv[1]} does not end: still open are ${open}\n`)
      process.exit(1)
    }, GRACE_MS).unref()
  })
}
