/**
 * `node images/finish.ts OPTIONS ROOT`: the last step of a build. Adds to ROOT/app what belongs beside a program (native
 * packages, the list of what is in the image, licences), and gives every file the same owner's rights and time, so that
 * the same sources make the same layer.
 */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  lutimesSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { bundledPackages, installedPackages, type Metafile, type Package } from './packages.ts'
import { imageSbom, type Sbom } from './sbom.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    /** Of the image. */
    name: { type: 'string', default: '' },
    /** esbuild's metafile. */
    bundled: { type: 'string', default: '' },
    /** Packages that stay outside of the bundle. */
    with: { type: 'string', multiple: true, default: [] },
    /** Debian's /var/lib/dpkg/status, as it is in the image. */
    os: { type: 'string', default: '' },
    /** Seconds since 1970 that every file is dated. */
    epoch: { type: 'string', default: '0' },
  },
})
const [root = ''] = positionals
const app = join(root, 'app')
const epoch = Number(values.epoch)

for (const name of values.with) {
  const manifest = JSON.parse(readFileSync(join('node_modules', name, 'package.json'), 'utf8')) as {
    readonly optionalDependencies?: Readonly<Record<string, string>>
  }
  // Its native part is a package of its own for each platform; the one for this platform is installed.
  for (const one of [name, ...Object.keys(manifest.optionalDependencies ?? {})]) {
    const from = join('node_modules', one)
    if (existsSync(from)) cpSync(from, join(app, 'node_modules', one), { recursive: true })
  }
}
for (const path of readdirSync(app, { recursive: true, encoding: 'utf8' })) {
  if (path.endsWith('.mjs.map') && !path.includes('node_modules')) rmSync(join(app, path))
}

const packages = [
  ...bundledPackages(JSON.parse(readFileSync(values.bundled, 'utf8')) as Metafile, '.'),
  ...installedPackages(join(app, 'node_modules')),
]
const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { readonly version: string }
const all = JSON.parse(
  execFileSync('npm', ['sbom', '--sbom-format=cyclonedx', '--package-lock-only'], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  }),
) as Sbom
const sbom = imageSbom(all, {
  name: values.name,
  version,
  nodeVersion: process.versions.node,
  packages,
  dpkgStatus: readFileSync(values.os, 'utf8'),
  epoch,
})
writeFileSync(join(app, 'sbom.cdx.json'), `${JSON.stringify(sbom, null, 1)}\n`)
cpSync('LICENSE', join(app, 'LICENSE'))
writeFileSync(join(app, 'THIRD-PARTY-LICENSES'), packages.map(licenceOf).filter(isFirst).join('\n'))
settle(root)

function licenceOf({ name, version: packageVersion, directory }: Package): string {
  const files = readdirSync(directory).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file))
  const texts = files.sort().map((file) => readFileSync(join(directory, file), 'utf8').trim())
  return `==== ${name} ${packageVersion}\n\n${texts.join('\n\n') || 'See its repository.'}\n`
}

function isFirst(text: string, i: number, texts: readonly string[]): boolean {
  return texts.indexOf(text) === i
}

/** From the leaves up: writing into a directory changes its time. An empty directory is of no use to anybody. */
function settle(path: string): void {
  const stat = lstatSync(path)
  if (stat.isDirectory()) {
    for (const entry of readdirSync(path)) settle(join(path, entry))
    if (readdirSync(path).length === 0) return rmSync(path, { recursive: true })
  }
  if (!stat.isSymbolicLink()) chmodSync(path, stat.isDirectory() || (stat.mode & 0o100) !== 0 ? 0o755 : 0o644)
  lutimesSync(path, epoch, epoch)
}
