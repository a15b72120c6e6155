import { parseArgs } from 'node:util'

/** The kind cluster that is used where nobody says another one. */
export const DEFAULT_CLUSTER = 'hauberk'

/** What `npm run e2e` is asked to be. */
export type E2eRequest =
  | { readonly kind: 'help' }
  | { readonly kind: 'list' }
  | { readonly kind: 'wrong'; readonly message: string }
  | E2eRun

export interface E2eRun {
  readonly kind: 'run'
  /** Name of the kind cluster, made from e2e/kind.yaml unless it is there; undefined where `context` says. */
  readonly cluster: string
  /** A cluster of somebody else's, by its context. Images must be within its reach. */
  readonly context?: string
  /** Also what takes long, or wants two nodes. */
  readonly all: boolean
  /** Names of scenarios; empty: all of those that `all` says. */
  readonly only: readonly string[]
  /** Images are taken as they are. */
  readonly skipImages: boolean
  /** The release is left as it is. */
  readonly skipInstall: boolean
  /** Where what a failure looked like is kept. */
  readonly bundles: string
}

export const USAGE = `Shows on a Kubernetes cluster that the mesh does what it promises.

Usage: npm run e2e [-- OPTIONS]

  --all             everything; without it a core set, which takes some minutes
  --only NAMES      these scenarios, separated by commas
  --cluster NAME    the kind cluster to use, made from e2e/kind.yaml unless it is there (hauberk)
  --context NAME    any cluster, by its context, instead of one of kind
  --skip-images     take the images as they are
  --skip-install    leave the release that is there
  --bundles DIR     where to keep what a failure looked like (.hauberk/e2e)
  --list            what there is
  --help            this

Steps: look for what is needed, make the cluster, build and load the images, helm install --wait, the scenarios. What wants two
nodes has a cluster of its own, hauberk-multi, made from e2e/kind-multi.yaml and taken away afterwards.

Exit code: 0 if all passed, 1 if one did not, 2 for wrong usage, 3 if something is missing on this machine.

Examples:
  npm run e2e
  npm run e2e -- --only job,probes --skip-images
  npm run e2e -- --context staging --all`

export function readE2eRequest(args: readonly string[]): E2eRequest {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        all: { type: 'boolean', default: false },
        only: { type: 'string', multiple: true },
        cluster: { type: 'string', default: DEFAULT_CLUSTER },
        context: { type: 'string' },
        'skip-images': { type: 'boolean', default: false },
        'skip-install': { type: 'boolean', default: false },
        bundles: { type: 'string', default: '.hauberk/e2e' },
        list: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    if (values.help) return { kind: 'help' }
    if (values.list) return { kind: 'list' }
    return {
      kind: 'run',
      cluster: values.cluster,
      ...(values.context !== undefined && { context: values.context }),
      all: values.all,
      only: (values.only ?? []).flatMap((list) => list.split(',')).map((name) => name.trim()),
      skipImages: values['skip-images'],
      skipInstall: values['skip-install'],
      bundles: values.bundles,
    }
  } catch (error) {
    return { kind: 'wrong', message: (error as Error).message }
  }
}
