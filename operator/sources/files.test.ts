import assert from 'node:assert/strict'
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Resource } from '../../model/resource.ts'
import { describeIssue } from '../../model/result.ts'
import { SECTIONS } from '../../policies/sections.ts'
import { silentLog } from '../../runtime/log.ts'
import { createFilesSource, loadFiles } from './files.ts'
import type { Change } from './source.ts'

async function directory(t: TestContext, files: Readonly<Record<string, string>>): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'hauberk-files-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) await writeFile(join(path, name), text)
  return path
}

async function running(t: TestContext, path: string) {
  const source = createFilesSource([path], SECTIONS, silentLog)
  const resources = new Map<string, Resource>()
  const stop = new AbortController()
  const synced = Promise.withResolvers<void>()
  const done = source.run(
    {
      apply(changes: readonly Change[]) {
        for (const change of changes) {
          if (change.type === 'set') resources.set(change.resource.metadata.name, change.resource)
          else resources.delete(change.ref.name)
        }
      },
      synced: () => synced.resolve(),
    },
    stop.signal,
  )
  t.after(async () => {
    stop.abort()
    await done
  })
  await Promise.race([synced.promise, done])
  return { source, resources }
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 30_000
  while (!condition()) {
    assert.ok(Date.now() < deadline, `waited in vain until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

const service = (name: string, port: number) =>
  `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}, namespace: shop}\nspec:\n  ports:\n  - port: ${port}\n`

test('resources of several documents and files are read, kinds of others left aside', async (t) => {
  const path = await directory(t, {
    'a.yaml': `${service('a', 80)}---\n${service('b', 80)}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n`,
    'b.json': JSON.stringify({
      apiVersion: 'v1',
      kind: 'List',
      items: [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } }],
    }),
    'kustomization.yaml': 'resources: [a.yaml]\n',
    'notes.txt': 'not: [yaml',
  })
  const loaded = await loadFiles([path], SECTIONS)
  assert.deepEqual(loaded.issues, [])
  assert.deepEqual(
    loaded.resources.map(({ resource }) => resource.metadata.name),
    ['a', 'b', 'shop'],
  )
})

test('a mistake is told with file, line and column, and what was probably meant', async (t) => {
  const path = await directory(t, {
    'policy.yaml': [
      'apiVersion: hauberk.dev/v1alpha1',
      'kind: MeshConfig',
      'metadata: {name: default}',
      'spec:',
      '  authorisation:',
      '    default: Deny',
      '  trustedHops: many',
      '',
    ].join('\n'),
  })
  const { issues } = await loadFiles([path], SECTIONS)
  const told = issues.map((found) => describeIssue(found).replace(path, ''))
  assert.deepEqual(told, [
    '/policy.yaml:5:3: MeshConfig/default: spec.authorisation: is not a field (did you mean authorization?)',
    '/policy.yaml:7:16: MeshConfig/default: spec.trustedHops: is string, not integer',
  ])
})

test('a kind of ours that does not exist is no policy at all, and is refused', async (t) => {
  const path = await directory(t, {
    'p.yaml': 'apiVersion: hauberk.dev/v1alpha1\nkind: SecurityPolice\nmetadata: {name: x}\nspec: {}\n',
  })
  const { issues, resources } = await loadFiles([path], SECTIONS)
  assert.equal(resources.length, 0)
  assert.match(describeIssue(issues[0]!), /p\.yaml:2:7: .*did you mean SecurityPolicy\?/)
})

test('defaults of the schema are applied', async (t) => {
  const path = await directory(t, {
    'm.yaml': 'apiVersion: hauberk.dev/v1alpha1\nkind: MeshConfig\nmetadata: {name: default}\nspec: {}\n',
  })
  const { resources } = await loadFiles([path], SECTIONS)
  assert.equal((resources[0]!.resource.spec as { trustDomain?: string }).trustDomain, 'cluster.local')
})

test('a CEL rule of the schema holds', async (t) => {
  const path = await directory(t, {
    'm.yaml':
      'apiVersion: hauberk.dev/v1alpha1\nkind: MeshConfig\nmetadata: {name: default}\nspec:\n  certificates: {lifetime: 5s}\n',
  })
  const { issues } = await loadFiles([path], SECTIONS)
  assert.match(describeIssue(issues[0]!), /m\.yaml:5:28: .*lifetime is from 30s to 168h/)
})

test('one resource that two files name is told of, and the first file counts', async (t) => {
  const path = await directory(t, { 'a.yaml': service('a', 80), 'b.yaml': service('a', 81) })
  const { issues, resources } = await loadFiles([path], SECTIONS)
  assert.equal(resources.length, 1)
  assert.match(describeIssue(issues[0]!), /b\.yaml:1:1: Service\/shop\/a: is there already, in .*a\.yaml:1/)
})

test('a change is taken while it runs, and the generation says that it changed', async (t) => {
  const path = await directory(t, { 'a.yaml': service('a', 80) })
  const { resources } = await running(t, path)
  assert.equal(resources.get('a')?.metadata.generation, 1)
  await writeFile(join(path, 'a.yaml'), service('a', 81))
  await until(() => resources.get('a')?.metadata.generation === 2, 'the change came')
  await writeFile(join(path, 'b.yaml'), service('b', 80))
  await until(() => resources.has('b'), 'the new file came')
  await rm(join(path, 'b.yaml'))
  await until(() => !resources.has('b'), 'the removed file went')
})

test('a broken or emptied file changes nothing until it is mended', async (t) => {
  const path = await directory(t, { 'a.yaml': service('a', 80) })
  const { resources, source } = await running(t, path)
  await writeFile(join(path, 'a.yaml'), 'apiVersion: v1\nkind: Service\nmetadata: {name: a, name')
  await until(() => source.issues().length > 0, 'the mistake was told')
  assert.equal(source.issues()[0]?.location?.line, 3)
  assert.equal(resources.get('a')?.metadata.generation, 1)
  await writeFile(join(path, 'a.yaml'), '')
  await until(() => source.issues()[0]?.code === 'emptied', 'the empty file was told')
  assert.ok(resources.has('a'))
  await writeFile(join(path, 'a.yaml'), service('a', 82))
  await until(() => source.issues().length === 0, 'the file was mended')
  assert.equal(resources.get('a')?.metadata.generation, 2)
})

test('a file replaced by rename, as editors do, is never seen as removed', async (t) => {
  const path = await directory(t, { 'a.yaml': service('a', 80) })
  const { resources } = await running(t, path)
  const removed: string[] = []
  const remove = resources.delete.bind(resources)
  resources.delete = (name) => {
    removed.push(name)
    return remove(name)
  }
  for (let port = 81; port < 86; port++) {
    await writeFile(join(path, '.a.tmp'), service('a', port))
    await rename(join(path, '.a.tmp'), join(path, 'a.yaml'))
    await until(() => JSON.stringify(resources.get('a')?.spec).includes(String(port)), 'the change came')
  }
  assert.deepEqual(removed, [])
})

test('a copy of a file, whatever its name, does not take the place of what is in force', async (t) => {
  const path = await directory(t, { 'b.yaml': service('a', 80) })
  const { resources, source } = await running(t, path)
  await writeFile(join(path, 'a.yaml'), service('a', 81))
  await until(() => source.issues().length > 0, 'the copy was told')
  assert.match(describeIssue(source.issues()[0]!), /a\.yaml:1:1: .*is there already, in .*b\.yaml:1/)
  assert.equal(resources.get('a')?.metadata.generation, 1)
  await rm(join(path, 'b.yaml'))
  await until(() => resources.get('a')?.metadata.generation === 2, 'the other one counts when the first is gone')
})

test('a path that names nothing is an error that names it', async () => {
  await assert.rejects(loadFiles(['/nonexistent/x'], SECTIONS), /\/nonexistent\/x: no such file or directory/)
})
