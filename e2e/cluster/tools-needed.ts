import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const exec = promisify(execFile)

/** Something that has to be on this machine before a cluster can be tested, and what to do where it is not. */
export interface Need {
  readonly what: string
  /** Resolves with what was found; throws for what is missing. */
  look(): Promise<string>
  /** The command, or the page, that mends it. */
  readonly fix: string
}

export interface NeedFound {
  readonly need: Need
  readonly found?: string
  readonly problem?: string
}

/** What a run needs: with `--context` neither Docker nor kind. */
export function needsFor({ ownCluster }: { readonly ownCluster: boolean }): readonly Need[] {
  const common: Need[] = [
    {
      what: 'kubectl 1.29 or newer',
      look: async () => {
        const { clientVersion } = JSON.parse(await output('kubectl', 'version', '--client', '-o', 'json')) as {
          readonly clientVersion: { readonly gitVersion: string; readonly minor: string }
        }
        if (Number.parseInt(clientVersion.minor, 10) < 29) throw new Error(`it is ${clientVersion.gitVersion}`)
        return clientVersion.gitVersion
      },
      fix: 'https://kubernetes.io/docs/tasks/tools/#kubectl',
    },
    {
      what: 'helm 3 or 4',
      look: () => output('helm', 'version', '--short'),
      fix: 'https://helm.sh/docs/intro/install/',
    },
  ]
  if (!ownCluster) return common
  return [
    {
      what: 'docker, and its daemon',
      look: () => output('docker', 'version', '--format', '{{.Server.Version}}'),
      fix: 'start it: sudo systemctl start docker (or install it: https://docs.docker.com/engine/install/)',
    },
    {
      what: 'kind 0.27 or newer',
      look: async () => {
        const version = await output('kind', 'version', '-q').catch(() => output('kind', 'version'))
        return version.split(' ')[0] ?? version
      },
      fix: 'go install sigs.k8s.io/kind@v0.33.0, or https://kind.sigs.k8s.io/docs/user/quick-start/#installation',
    },
    ...common,
  ]
}

/** Looks for everything, and tells of all that is missing at once. */
export function lookFor(needs: readonly Need[]): Promise<readonly NeedFound[]> {
  return Promise.all(
    needs.map(async (need): Promise<NeedFound> => {
      try {
        return { need, found: await need.look() }
      } catch (error) {
        const { code, stderr, message } = error as NodeJS.ErrnoException & { stderr?: string }
        const problem = code === 'ENOENT' ? 'it is not on PATH' : (stderr?.trim().split('\n').at(-1) ?? '') || message
        return { need, problem }
      }
    }),
  )
}

async function output(command: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await exec(command, args, { timeout: 30_000 })
  return stdout.trim()
}
