import { isTest, type SourceTree } from './import-graph.ts'

/** A metric as the sources define it, or as docs/metrics.md describes it. */
export interface MetricEntry {
  readonly name: string
  readonly kind: string
  readonly labels: readonly string[]
}

/** Folders whose metrics are the product's. The sample's own are its own concern. */
const PRODUCT = /^(?:cli|operator|runtime|sidecar)\//

/** `counter({ name: 'hauberk_requests_total', help: '...', labels: ['direction'] })`, in whatever lines. */
const DEFINED =
  /\b(counter|gauge|histogram)\(\{\s*name:\s*(?:'(hauberk_[a-z0-9_]+)'|`hauberk_\$\{name\}_total`),\s*help(?::\s*'(?:[^'\\]|\\.)*')?,?\s*(?:labels:\s*\[([^\]]*)\])?/g

/** `gauge('hauberk_open_connections', ...)`: the sidecar's gauges without labels. */
const NAMED_GAUGE = /\bgauge\(\s*'(hauberk_[a-z0-9_]+)',/g

/** What `${name}` stands for: the counters that filters may count. */
const FILTER_COUNTERS = /type FilterCounter =((?:\s*\|?\s*'\w+')+)/

// biome-ignore lint/suspicious/noTemplateCurlyInString: it is the text of the sources that is meant
const FILTER_TEMPLATE = 'hauberk_${name}_total'

/** Every mention of a metric's name in a string. */
const MENTIONED = /['`](hauberk_[a-z0-9_${}]+)['`]/g

/** Every metric that the product's sources define. Throws for a name that it cannot tell how it is defined. */
export function metricsIn(tree: SourceTree): readonly MetricEntry[] {
  const found = new Map<string, MetricEntry>()
  const mentioned = new Map<string, string>()
  const counters = namesOf(FILTER_COUNTERS.exec(tree.get('model/filter.ts') ?? '')?.[1] ?? '')
  for (const [file, source] of tree) {
    if (!PRODUCT.test(file) || isTest(file)) continue
    for (const [, kind = '', literal, labels = ''] of source.matchAll(DEFINED)) {
      const names = literal === undefined ? counters.map((counter) => `hauberk_${counter}_total`) : [literal]
      for (const name of names) found.set(name, { name, kind, labels: namesOf(labels) })
    }
    for (const [, name = ''] of source.matchAll(NAMED_GAUGE)) found.set(name, { name, kind: 'gauge', labels: [] })
    for (const [, name = ''] of source.matchAll(MENTIONED)) mentioned.set(name, file)
  }
  for (const [name, file] of mentioned) {
    if (!found.has(name) && name !== FILTER_TEMPLATE) {
      throw new Error(`${file} mentions ${name}, and how it is defined cannot be read`)
    }
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** The rows of docs/metrics.md: `| \`hauberk_sessions\` | gauge | \`a\`, \`b\` | ... |`. */
export function documentedMetrics(document: string): readonly MetricEntry[] {
  const rows = document.matchAll(/^\|\s*`(hauberk_[a-z0-9_]+)`\s*\|\s*(\w+)\s*\|([^|]*)\|/gm)
  return [...rows]
    .map(([, name = '', kind = '', labels = '']) => ({ name, kind, labels: namesOf(labels) }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

function namesOf(text: string): readonly string[] {
  return [...text.matchAll(/['`]([a-z_]+)['`]/g)].map(([, name = '']) => name)
}
