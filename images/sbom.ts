import type { Package } from './packages.ts'

/** A CycloneDX document, in the part that is read or written here. */
export interface Sbom {
  readonly $schema: string
  readonly bomFormat: 'CycloneDX'
  readonly specVersion: string
  readonly version: number
  readonly metadata: Readonly<Record<string, unknown>>
  readonly components: readonly SbomComponent[]
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[]
}

export interface SbomComponent {
  readonly 'bom-ref': string
  readonly type: string
  readonly name: string
  readonly version: string
  readonly purl: string
}

export interface ImageContents {
  readonly name: string
  /** Of the image, and of Node. */
  readonly version: string
  readonly nodeVersion: string
  readonly packages: readonly Package[]
  /** Debian's `/var/lib/dpkg/status`. */
  readonly dpkgStatus: string
  /** Seconds since 1970 that the document is dated. */
  readonly epoch: number
}

/**
 * What is in an image: of `all`, which npm made of the lockfile, the packages that are in it, Node, and what Debian
 * installed. Throws for a package that the lockfile does not have: nobody vouches for it.
 */
export function imageSbom(all: Sbom, contents: ImageContents): Sbom {
  const { name, version, nodeVersion, packages, dpkgStatus, epoch } = contents
  const locked = new Map(all.components.map((component) => [component['bom-ref'], component]))
  const kept = new Map<string, SbomComponent>()
  for (const { name: packageName, version: packageVersion } of packages) {
    const ref = `${packageName}@${packageVersion}`
    const component = locked.get(ref)
    if (component === undefined) throw new Error(`${ref} is in ${name} and not in the lockfile`)
    kept.set(ref, component)
  }
  const system = [
    {
      'bom-ref': `node@${nodeVersion}`,
      type: 'platform',
      name: 'node',
      version: nodeVersion,
      purl: `pkg:generic/node@${nodeVersion}`,
    },
    ...debianPackages(dpkgStatus),
  ]
  return {
    $schema: all.$schema,
    bomFormat: 'CycloneDX',
    specVersion: all.specVersion,
    version: 1,
    metadata: {
      timestamp: new Date(epoch * 1_000).toISOString(),
      component: { 'bom-ref': `${name}@${version}`, type: 'container', name, version },
    },
    components: [...[...kept].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, component]) => component), ...system],
    dependencies: [
      { ref: `${name}@${version}`, dependsOn: [...kept.keys()].sort() },
      ...all.dependencies
        .filter(({ ref }) => kept.has(ref))
        .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((other) => kept.has(other)) })),
    ],
  }
}

/** Paragraphs of `Field: value` (deb-control(5)); those that are not installed are left out. */
function debianPackages(status: string): readonly SbomComponent[] {
  return status.split('\n\n').flatMap((paragraph) => {
    const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(paragraph)?.[1]
    const name = field('Package')
    const version = field('Version')
    if (name === undefined || version === undefined || field('Status') !== 'install ok installed') return []
    const purl = `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${field('Architecture')}`
    return [{ 'bom-ref': purl, type: 'library', name, version, purl }]
  })
}
