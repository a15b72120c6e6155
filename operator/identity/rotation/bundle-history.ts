import { createHash } from 'node:crypto'
import { documentVersion } from '../../../contract/encode-for.ts'
import type { WorkloadConfig } from '../../../contract/workload-config.ts'
import { decodePem } from '../../../model/x509/pem.ts'

/**
 * Which versions of each workload's config had the trust bundle of now: whoever obeys one of them trusts those roots and
 * no other. So edits of policies, however many, are no reason to wait for the very newest version to be acknowledged.
 */
export interface BundleHistory {
  /** Takes the configs that sidecars are to obey from now on. */
  record(configs: ReadonlyMap<string, Pick<WorkloadConfig, 'version' | 'trustBundle'>>): void
  /** Fingerprints of the roots that a sidecar with this version trusts; undefined: it is not of the bundle of now. */
  trustedWith(workload: string, version: string): ReadonlySet<string> | undefined
}

/** Versions of one workload's config; the oldest is forgotten first. */
const MAX_VERSIONS = 16

export function createBundleHistory(): BundleHistory {
  const byWorkload = new Map<string, Remembered>()
  /** By bundle: all workloads have one in common, but for the moment in which it changes. */
  const bundles = new Map<string, ReadonlySet<string>>()

  const rootsOf = (pems: readonly string[]): ReadonlySet<string> => {
    const key = pems.join('')
    const known = bundles.get(key)
    if (known !== undefined) return known
    const roots = new Set(pems.map(fingerprintOfPem))
    if (bundles.size >= MAX_BUNDLES) bundles.clear()
    bundles.set(key, roots)
    return roots
  }

  return {
    record(configs) {
      for (const workload of byWorkload.keys()) if (!configs.has(workload)) byWorkload.delete(workload)
      for (const [workload, { version, trustBundle }] of configs) {
        const known = byWorkload.get(workload)
        if (known?.versions.has(version)) continue
        const roots = rootsOf(trustBundle)
        const remembered =
          known !== undefined && isSame(known.roots, roots) ? known : { roots, versions: new Set<string>() }
        remembered.versions.add(version)
        if (remembered.versions.size > MAX_VERSIONS)
          remembered.versions.delete(remembered.versions.keys().next().value!)
        byWorkload.set(workload, remembered)
      }
    },
    trustedWith(workload, version) {
      const known = byWorkload.get(workload)
      return known?.versions.has(documentVersion(version)) ? known.roots : undefined
    },
  }
}

interface Remembered {
  readonly roots: ReadonlySet<string>
  readonly versions: Set<string>
}

/** Bundles whose fingerprints are known at once. A rotation has three. */
const MAX_BUNDLES = 64

function isSame(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a === b || (a.size === b.size && [...a].every((each) => b.has(each)))
}

function fingerprintOfPem(pem: string): string {
  const blocks = decodePem(pem, 'CERTIFICATE')
  return createHash('sha256')
    .update(blocks.ok ? (blocks.value[0] ?? pem) : pem)
    .digest('hex')
}
