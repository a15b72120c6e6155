import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import type { Command } from 'commander'
import type { Resource } from '../model/resource.ts'
import { describeIssue, type Issue } from '../model/result.ts'
import { parseTrustDomain } from '../model/spiffe-id.ts'
import { defaultSettings } from '../operator/inject/default-settings.ts'
import { optOutsOf } from '../operator/inject/opt-outs.ts'
import { MESH_CONFIG_NAME } from '../operator/resources/mesh-config.ts'
import { findFiles, NoSuchPathError } from '../operator/sources/find-files.ts'
import { DEFAULT_TRUST_DOMAIN } from '../operator/translate/mesh-settings.ts'
import { compareFindings, findingOf } from './check/finding.ts'
import { counted, formatFindings } from './check/findings-text.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { addFileOption } from './file-option.ts'
import { injectResource } from './inject/inject-resource.ts'
import { joinDocuments, type Manifest, readManifest } from './inject/manifest.ts'
import { painterOf } from './paint.ts'
import { release } from './release.ts'

interface InjectOptions {
  readonly file?: readonly string[]
  readonly namespace: string
  readonly image?: string
  readonly trustDomain?: string
}

/** `hauberk inject`: puts the sidecar into the pods of YAML files, as the webhook would. */
export function defineInject(command: Command): void {
  addFileOption(command)
    .option('-n, --namespace <name>', 'of resources that name none', 'default')
    .option('--image <image>', 'of the sidecar; default: the one of this release')
    .option('--trust-domain <name>', 'default: what MeshConfig default in the files says, else cluster.local')
    .addHelpText('after', HELP)
    .action(async ({ file, ...options }: InjectOptions) => {
      if (file === undefined)
        throw new CommandError(EXIT.usage, 'hauberk inject: say which files with -f (- is the input)')
      const manifests = await readManifests(file)
      const found = manifests.flatMap(({ issues }) => issues)
      if (found.length === 0) found.push(...injectAll(manifests, options))
      const findings = found.map(findingOf).toSorted(compareFindings)
      if (findings.length > 0) process.stderr.write(`${formatFindings(findings, painterOf(process.stderr))}\n`)
      const errors = findings.filter(({ severity }) => severity === 'error').length
      if (errors > 0) throw new CommandError(EXIT.findings, `${counted(errors, 'error')}: nothing is printed`)
      process.stdout.write(joinDocuments(manifests.map((manifest) => manifest.print())))
    })
}

const HELP = `
Examples:
  hauberk inject -f deployment.yaml | kubectl apply -f -      inject what a namespace without the label is to have
  kubectl get deployment orders -o yaml | hauberk inject -f - what the webhook would make of it
  hauberk inject -f samples/shop > injected.yaml              a directory as one file

Deployments, StatefulSets, DaemonSets, ReplicaSets, ReplicationControllers, Jobs, CronJobs, Pods and Lists of them are injected; everything
else is printed as it is. MeshConfig default and Namespaces in the files count: opt-outs, trust domain, Pod Security.
What is injected already gets what this release injects. In a namespace with the label hauberk.dev/inject=enabled the webhook has the last word.
Exit codes: 0 injected, 1 failed, 2 wrong usage, 79 a pod cannot be in the mesh as it is (and nothing is printed).`

async function readManifests(paths: readonly string[]): Promise<readonly Manifest[]> {
  const manifests: Manifest[] = []
  for (const path of paths) {
    if (path === '-') {
      manifests.push(readManifest('-', await text(process.stdin)))
      continue
    }
    const files = await findFiles([path]).catch((cause: unknown) => {
      if (cause instanceof NoSuchPathError) throw new CommandError(EXIT.failure, cause.message, { cause })
      throw cause
    })
    for (const file of files) manifests.push(readManifest(file, await readFile(file, 'utf8')))
  }
  return manifests
}

function injectAll(manifests: readonly Manifest[], options: Omit<InjectOptions, 'file'>): readonly Issue[] {
  const resources = manifests.flatMap((manifest) => manifest.resources)
  const named = (kind: string, name: string) => {
    const found = resources.find(({ value }) => {
      const resource = value as Partial<Resource> | null
      return resource?.kind === kind && resource.metadata?.name === name
    })
    return found?.value as Resource | undefined
  }
  const meshConfig = named('MeshConfig', MESH_CONFIG_NAME)
  const { trustDomain: ofMesh } = (meshConfig?.spec ?? {}) as { readonly trustDomain?: unknown }
  const trustDomain = parseTrustDomain(options.trustDomain ?? String(ofMesh ?? DEFAULT_TRUST_DOMAIN))
  if (!trustDomain.ok) {
    throw new CommandError(
      EXIT.usage,
      `hauberk inject: the trust domain ${trustDomain.issues.map(describeIssue).join('; ')}`,
    )
  }
  const settings = defaultSettings({
    image: options.image ?? `hauberk-sidecar:${release()}`,
    trustDomain: trustDomain.value,
  })
  const context = {
    settings,
    namespace: options.namespace,
    optOuts: optOutsOf(meshConfig),
    labelsOf: (namespace: string) => named('Namespace', namespace)?.metadata.labels ?? {},
  }
  return resources.flatMap((resource) => injectResource(resource, context))
}
