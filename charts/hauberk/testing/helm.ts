import { execFile, execFileSync } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { parseAllDocuments } from 'yaml'

const exec = promisify(execFile)

export const CHART = resolve(import.meta.dirname, '..')

/** An object that the chart renders. */
export interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
  }
  // biome-ignore lint/suspicious/noExplicitAny: manifests of many kinds, read here and there
  readonly [field: string]: any
}

export interface Helm {
  /** `v4.1.4`. */
  readonly version: string
  readonly program: string
}

/** The versions of Helm on PATH, as `helm`, `helm3` and `helm4`. */
export const HELMS: readonly Helm[] = ['helm', 'helm3', 'helm4'].flatMap((program) => {
  try {
    const version = execFileSync(program, ['version', '--template', '{{.Version}}'], { encoding: 'utf8' }).trim()
    return [{ program, version }]
  } catch {
    return []
  }
})

/** For `test(name, OPTIONS, ...)`. */
export const WITH_HELM = {
  skip: HELMS.length === 0 ? 'THERE IS NO HELM ON PATH: nothing of the chart was tested' : false,
}

export interface RenderOptions {
  /** As for `--set-json`: `operator.replicas` to a JSON value. */
  readonly values?: Readonly<Record<string, unknown>>
  /** More files of values. */
  readonly files?: readonly string[]
  readonly namespace?: string
  readonly release?: string
  /** With CustomResourceDefinitions, which are most of the text. Default false. */
  readonly crds?: boolean
}

/** `helm template`, as objects. Rejects with what Helm says. */
export async function render(options: RenderOptions = {}, helm = HELMS[0]): Promise<readonly Manifest[]> {
  return parseAllDocuments(await renderText(options, helm))
    .map((document) => document.toJS() as Manifest | null)
    .filter((manifest) => manifest !== null)
}

export async function renderText(options: RenderOptions = {}, helm = HELMS[0]): Promise<string> {
  const { values = {}, files = [], namespace = 'hauberk-system', release = 'hauberk', crds = false } = options
  const { stdout } = await exec(
    helm?.program ?? 'helm',
    [
      ...['template', release, CHART, '--namespace', namespace, '--kube-version', '1.35.0'],
      ...files.flatMap((file) => ['--values', file]),
      ...(crds ? [] : ['--set', 'crds.install=false,gatewayApi.install=false']),
      ...Object.entries(values).flatMap(([name, value]) => ['--set-json', `${name}=${JSON.stringify(value)}`]),
    ],
    { maxBuffer: 16 * 1024 * 1024 },
  )
  return stdout
}

/** `helm lint --strict`. Rejects with what it complains about. */
export async function lint(helm: Helm, ...args: readonly string[]): Promise<void> {
  await exec(helm.program, ['lint', '--strict', CHART, ...args])
}

export function find(manifests: readonly Manifest[], kind: string, name: string): Manifest {
  const found = manifests.find((one) => one.kind === kind && one.metadata.name === name)
  if (found === undefined) throw new Error(`the chart renders no ${kind} ${name}`)
  return found
}
