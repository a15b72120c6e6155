import fc from 'fast-check'

/** Any 32 bit integer would do. */
const SEED = 20_261_122

/**
 * fast-check, with the same cases in every run of the tests: a run says something of a change, and not of the luck that it
 * had. `HAUBERK_SEED=random` (or a number) looks further; a failure prints the seed with which it comes again.
 */
const seed = process.env['HAUBERK_SEED'] ?? String(SEED)
if (seed !== 'random') {
  if (!/^-?\d{1,10}$/.test(seed)) throw new Error(`HAUBERK_SEED=${seed}: write a 32 bit integer, or random`)
  fc.configureGlobal({ seed: Number(seed) | 0 })
}

export default fc
