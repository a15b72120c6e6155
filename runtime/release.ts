import manifest from '../package.json' with { type: 'json' }

/** The version of every program of this repository. A bundle carries it within. */
export const RELEASE: string = manifest.version
