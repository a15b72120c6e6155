import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { parse, stringify } from 'yaml'
import { documentedMetrics } from '../../tools/metrics-doc.ts'
import { CHART, find, render, WITH_HELM } from './testing/helm.ts'

const exec = promisify(execFile)
const ROOT = join(CHART, '../..')
const RULES = join(CHART, 'files/rules/hauberk.yaml')
const WITH_PROMTOOL = { skip: hasPromtool() ? false : 'THERE IS NO PROMTOOL ON PATH: the rules were not evaluated' }

interface Rule {
  readonly record?: string
  readonly alert?: string
  readonly expr: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
}

const groups = (
  parse(readFileSync(RULES, 'utf8')) as { readonly groups: readonly { readonly rules: readonly Rule[] }[] }
).groups
const rules = groups.flatMap((group) => group.rules)
const alerts = rules.filter(({ alert }) => alert !== undefined)
const known = new Set(documentedMetrics(readFileSync(join(ROOT, 'docs/metrics.md'), 'utf8')).map(({ name }) => name))
const recorded = new Set(rules.flatMap(({ record }) => record ?? []))

test('each alert has a severity, a summary and a runbook, and each runbook an alert', () => {
  for (const { alert = '', labels, annotations } of alerts) {
    assert.match(labels?.['severity'] ?? '', /^(?:critical|warning|info)$/, alert)
    assert.ok(annotations?.['summary'], alert)
    assert.equal(annotations?.['runbook_url'], `docs/runbooks/${alert}.md`)
    const page = readFileSync(join(ROOT, 'docs/runbooks', `${alert}.md`), 'utf8')
    assert.ok(page.startsWith(`# ${alert}\n`), alert)
    for (const heading of ['## Look', '## Do']) assert.ok(page.includes(heading), `${alert}: ${heading}`)
    assert.ok(page.includes(`Severity: ${labels?.['severity']}.`), alert)
  }
  const pages = globSync('docs/runbooks/*.md', { cwd: ROOT }).map((path) => path.slice('docs/runbooks/'.length, -3))
  assert.deepEqual(pages.sort(), alerts.map(({ alert }) => alert).sort())
})

test('rules and dashboards ask for metrics and recordings that there are', () => {
  const dashboards = globSync('files/dashboards/*.json', { cwd: CHART }).map((path) => [
    path,
    readFileSync(join(CHART, path), 'utf8'),
  ])
  for (const [where = '', text = ''] of [...rules.map(({ expr }) => [expr, expr]), ...dashboards]) {
    for (const [name] of text.matchAll(/\bhauberk[_:][a-z0-9_:]+/g)) {
      const metric = name.replace(/_(?:bucket|sum|count)$/, '')
      assert.ok(known.has(metric) || recorded.has(name), `${where}: ${name}`)
    }
  }
})

test('promtool takes the rules, and they do as they say over weeks', WITH_PROMTOOL, async () => {
  await exec('promtool', ['check', 'rules', RULES])
  await exec('promtool', ['test', 'rules', join(CHART, 'testing/rules.test.yaml')])
})

test(
  'promtool takes the scrape configuration, but for its discovery, which Debian builds Prometheus without',
  WITH_PROMTOOL,
  async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'hauberk-scrape-'))
    t.after(() => rmSync(directory, { recursive: true }))
    const { scrape_configs: jobs } = parse(readFileSync(join(CHART, 'files/prometheus/scrape.yaml'), 'utf8'), {
      merge: true,
    }) as { readonly scrape_configs: readonly { readonly kubernetes_sd_configs: unknown }[] }
    const config = join(directory, 'prometheus.yml')
    const scrape = jobs.map(({ kubernetes_sd_configs, ...job }) => {
      assert.ok(Array.isArray(kubernetes_sd_configs))
      return job
    })
    writeFileSync(config, stringify({ scrape_configs: scrape, rule_files: [RULES] }, { aliasDuplicateObjects: false }))
    // The Secret is not here.
    await exec('promtool', ['check', 'config', '--syntax-only', config])
  },
)

test(
  'the chart makes a PrometheusRule or a ConfigMap of the same rules, and links to where the runbooks are',
  WITH_HELM,
  async () => {
    const runbooks = 'https://runbooks.example/hauberk/'
    const manifests = await render({
      values: {
        'alerts.prometheusRule': { create: true, labels: { release: 'prometheus' } },
        'alerts.configMap.create': true,
        'alerts.runbooks': runbooks,
      },
    })
    const rule = find(manifests, 'PrometheusRule', 'hauberk')
    assert.equal(rule.metadata.labels?.['release'], 'prometheus')
    const linked = structuredClone(groups) as unknown as { rules: { annotations?: Record<string, string> }[] }[]
    for (const { annotations } of linked.flatMap(({ rules }) => rules)) {
      if (annotations !== undefined) {
        annotations['runbook_url'] = (annotations['runbook_url'] ?? '').replace('docs/runbooks/', runbooks)
      }
    }
    assert.deepEqual(rule.spec.groups, linked)
    const { data } = find(manifests, 'ConfigMap', 'hauberk-prometheus')
    assert.deepEqual(parse(data['rules.yaml']).groups, linked)
    assert.equal(data['scrape.yaml'].trim(), readFileSync(join(CHART, 'files/prometheus/scrape.yaml'), 'utf8').trim())
  },
)

test('the values as they are make no rules', WITH_HELM, async () => {
  const kinds = (await render()).map(({ kind }) => kind)
  assert.equal(kinds.includes('PrometheusRule'), false)
})

function hasPromtool(): boolean {
  try {
    execFileSync('promtool', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
