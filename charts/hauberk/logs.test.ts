import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { CHART, find, render, WITH_HELM } from './testing/helm.ts'

const ELK = join(CHART, 'files/elk')
const read = (name: string) => readFileSync(join(ELK, name), 'utf8')
const json = (name: string) => JSON.parse(read(name)) as unknown

test('what an engine is given for logs is made where it is asked for, as it is in the files', WITH_HELM, async () => {
  const asked = {
    'logs.elk.create': true,
    'logs.filebeat.create': true,
    'logs.fluentBit': { create: true, labels: { a: 'b' } },
  }
  const manifests = await render({ values: asked })
  const names = globSync('*json', { cwd: ELK })
  const { data } = find(manifests, 'ConfigMap', 'hauberk-elk')
  assert.deepEqual(Object.keys(data).sort(), names.sort())
  for (const name of names) assert.equal(data[name].trim(), read(name).trim())
  const filebeat = find(manifests, 'ConfigMap', 'hauberk-filebeat')
  assert.equal(filebeat.data['filebeat.yml'].trim(), read('filebeat.yml').trim())
  const fluentBit = find(manifests, 'ConfigMap', 'hauberk-fluent-bit')
  assert.equal(fluentBit.metadata.labels?.['a'], 'b')
  assert.equal(fluentBit.data['fluent-bit.conf'].trim(), read('fluent-bit.conf').trim())
  const left = (await render()).filter(({ metadata }) => /hauberk-(?:elk|filebeat|fluent-bit)/.test(metadata.name))
  assert.deepEqual(left, [])
})

test('hashed users are the same pipeline with another word', WITH_HELM, async () => {
  const manifests = await render({ values: { 'logs.elk.create': true, 'logs.userNames': 'Hashed' } })
  const { data } = find(manifests, 'ConfigMap', 'hauberk-elk')
  const names = (text: string) =>
    (JSON.parse(text) as { processors: { script?: { params: { names: string } } }[] }).processors[0]?.script?.params
      .names
  assert.equal(names(data['ingest-pipeline.json']), 'hash')
  assert.equal(names(read('ingest-pipeline.json')), 'keep')
})

test('saved objects are one a line, and lead to each other', () => {
  const objects = read('kibana.ndjson')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { type: string; id: string; references: { type: string; id: string }[] })
  const known = new Set(objects.map(({ type, id }) => `${type}/${id}`))
  for (const { references } of objects) for (const { type, id } of references) assert.ok(known.has(`${type}/${id}`), id)
})

test('agents send to a data stream that the template is for', () => {
  const { index_patterns: patterns, data_stream: stream } = json('index-template.json') as {
    readonly index_patterns: readonly string[]
    readonly data_stream: unknown
  }
  assert.ok(stream)
  const index = (parse(read('filebeat.yml')) as { 'output.elasticsearch': { index: string } })['output.elasticsearch']
    .index
  assert.ok(patterns.some((pattern) => index.startsWith(pattern.slice(0, -1))))
  assert.match(read('fluent-bit.conf'), new RegExp(`^ +Index +${index}$`, 'm'))
})
