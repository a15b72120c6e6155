import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { bundledPackages, installedPackages } from './packages.ts'
import { imageSbom, type Sbom } from './sbom.ts'

const component = (name: string, version: string) => ({
  'bom-ref': `${name}@${version}`,
  type: 'library',
  name,
  version,
  purl: `pkg:npm/${name}@${version}`,
})

const ALL: Sbom = {
  $schema: 'http://cyclonedx.org/schema/bom-1.5.schema.json',
  bomFormat: 'CycloneDX',
  specVersion: '1.5',
  version: 1,
  metadata: { timestamp: '2026-11-23T00:00:00.000Z' },
  components: [component('a', '1.0.0'), component('b', '2.0.0'), component('only-in-tests', '3.0.0')],
  dependencies: [
    { ref: 'b@2.0.0', dependsOn: ['a@1.0.0', 'only-in-tests@3.0.0'] },
    { ref: 'only-in-tests@3.0.0', dependsOn: [] },
  ],
}

const IMAGE = { name: 'hauberk-sidecar', version: '0.1.0', nodeVersion: '24.21.0', dpkgStatus: '', epoch: 0 }

const packages = (...ids: readonly string[]) =>
  ids.map((id) => {
    const [name = '', version = ''] = id.split('@')
    return { name, version, directory: '' }
  })

async function files(t: TestContext, contents: Readonly<Record<string, string>>): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'hauberk-images-'))
  t.after(() => rm(root, { recursive: true, force: true }))
  for (const [path, text] of Object.entries(contents)) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), text)
  }
  return root
}

test('an image is said to have what is in it, and nothing else of the lockfile', () => {
  const { components, dependencies, metadata } = imageSbom(ALL, { ...IMAGE, packages: packages('b@2.0.0', 'a@1.0.0') })
  assert.deepEqual(
    components.map((one) => one['bom-ref']),
    ['a@1.0.0', 'b@2.0.0', 'node@24.21.0'],
  )
  assert.deepEqual(dependencies, [
    { ref: 'hauberk-sidecar@0.1.0', dependsOn: ['a@1.0.0', 'b@2.0.0'] },
    { ref: 'b@2.0.0', dependsOn: ['a@1.0.0'] },
  ])
  assert.equal(metadata['timestamp'], '1970-01-01T00:00:00.000Z')
})

test('T30: a package that is in an image and not in the lockfile fails the build', () => {
  assert.throws(() => imageSbom(ALL, { ...IMAGE, packages: packages('a@1.0.1') }), /a@1\.0\.1 is in hauberk-sidecar/)
  assert.throws(() => imageSbom(ALL, { ...IMAGE, packages: packages('c@1.0.0') }), /not in the lockfile/)
})

test('packages of Debian are named as package URLs, those that were removed are not', () => {
  const dpkgStatus = [
    'Package: nftables\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0.6-2+deb12u2',
    'Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1',
    '',
  ].join('\n\n')
  const { components } = imageSbom(ALL, { ...IMAGE, packages: [], dpkgStatus })
  assert.deepEqual(
    components.map(({ purl }) => purl),
    ['pkg:generic/node@24.21.0', 'pkg:deb/debian/nftables@1.0.6-2%2Bdeb12u2?arch=amd64'],
  )
})

test('what esbuild took from a package counts, what it shook off does not', async (t) => {
  const root = await files(t, {
    'node_modules/a/package.json': '{"name": "a", "version": "1.0.0"}',
    'node_modules/@s/b/package.json': '{"name": "@s/b", "version": "2.0.0"}',
    'node_modules/@s/b/node_modules/a/package.json': '{"name": "a", "version": "0.9.0"}',
  })
  const inputs = {
    'sidecar/main.ts': { bytesInOutput: 10 },
    'node_modules/a/index.js': { bytesInOutput: 0 },
    'node_modules/@s/b/lib/index.js': { bytesInOutput: 5 },
    'node_modules/@s/b/node_modules/a/index.js': { bytesInOutput: 5 },
  }
  const found = bundledPackages({ outputs: { 'out.mjs': { inputs } } }, root)
  assert.deepEqual(
    found.map(({ name, version }) => `${name}@${version}`),
    ['@s/b@2.0.0', 'a@0.9.0'],
  )
})

test('installed packages are found in scopes and inside of each other', async (t) => {
  const root = await files(t, {
    'a/package.json': '{"name": "a", "version": "1.0.0"}',
    'a/node_modules/c/package.json': '{"name": "c", "version": "3.0.0"}',
    '@s/b/package.json': '{"name": "@s/b", "version": "2.0.0"}',
    '.bin/a': '',
  })
  const found = installedPackages(root).map(({ name, version }) => `${name}@${version}`)
  assert.deepEqual(found.sort(), ['@s/b@2.0.0', 'a@1.0.0', 'c@3.0.0'])
  assert.deepEqual(installedPackages(join(root, 'nowhere')), [])
})
