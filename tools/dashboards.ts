/** The dashboards of the chart, as Grafana reads them. What is asked for is here; `npm run generate` writes the JSON. */

interface Query {
  readonly expr: string
  readonly legend: string
}

interface Panel {
  readonly title: string
  readonly description?: string
  readonly unit: 'reqps' | 's' | 'short' | 'cps' | 'percentunit' | 'bytes'
  readonly kind?: 'timeseries' | 'stat' | 'table'
  /** Columns of 24. Default 8. */
  readonly width?: number
  readonly queries: readonly Query[]
}

interface Dashboard {
  readonly name: string
  readonly title: string
  readonly description: string
  readonly variables: readonly ('namespace' | 'pod')[]
  readonly panels: readonly Panel[]
}

const NAMESPACE = 'namespace=~"$namespace"'
const POD = `${NAMESPACE}, pod=~"$pod"`
const GATEWAY = `${NAMESPACE}, direction="gateway"`

const rate = (metric: string, labels: string) => `rate(${metric}{${labels}}[$__rate_interval])`
const quantile = (q: number, labels: string, by: readonly string[] = []) =>
  `histogram_quantile(${q}, sum by (${[...by, 'le'].join(', ')}) (${rate('hauberk_request_duration_seconds_bucket', labels)}))`

const DURATION_QUANTILES = (labels: string): readonly Query[] =>
  [0.5, 0.9, 0.99].map((q) => ({ expr: quantile(q, labels), legend: `p${q * 100}` }))

const MESH: Dashboard = {
  name: 'mesh',
  title: 'Hauberk / Mesh',
  description: 'Whether the mesh is well: its sidecars, its operator, its certificates.',
  variables: ['namespace'],
  panels: [
    {
      title: 'Requests by status',
      unit: 'reqps',
      queries: [
        {
          expr: `sum by (status) (${rate('hauberk_requests_total', `${NAMESPACE}, direction="inbound"`)})`,
          legend: '{{status}}',
        },
      ],
    },
    { title: 'Duration', unit: 's', queries: DURATION_QUANTILES(`${NAMESPACE}, direction="inbound"`) },
    {
      title: 'Who calls which API',
      description: 'Requests by the route and the service account that the certificate proves.',
      unit: 'reqps',
      queries: [
        {
          expr: `topk(20, sum by (caller, route) (${rate('hauberk_caller_requests_total', `${NAMESPACE}, direction="inbound"`)}))`,
          legend: '{{caller}} → {{route}}',
        },
      ],
    },
    {
      title: 'Refused',
      description: 'By denial and rule: docs/denials.md.',
      unit: 'reqps',
      queries: [
        {
          expr: `sum by (denial, policy, rule) (${rate('hauberk_denials_total', NAMESPACE)})`,
          legend: '{{denial}} {{policy}} {{rule}}',
        },
      ],
    },
    {
      title: 'Sidecars',
      unit: 'short',
      queries: [
        { expr: `sum(hauberk_operator_connected{${NAMESPACE}})`, legend: 'connected to an operator' },
        { expr: `count(hauberk_operator_connected{${NAMESPACE}} == 0) or vector(0)`, legend: 'without an operator' },
        { expr: 'sum(hauberk_sessions)', legend: 'sessions of the operators' },
      ],
    },
    {
      title: 'Configuration',
      unit: 'short',
      queries: [
        { expr: 'sum by (document) (hauberk_sidecars_behind)', legend: 'behind: {{document}}' },
        { expr: 'sum(hauberk_push_refusals_total) or vector(0)', legend: 'refused since the start' },
      ],
    },
    {
      title: 'Until the next certificate expires',
      unit: 's',
      queries: [
        {
          expr: `min(hauberk_certificate_not_after_seconds{${NAMESPACE}} > 0) - time()`,
          legend: 'of a sidecar',
        },
        { expr: 'min by (use) (hauberk_ca_root_not_after_seconds) - time()', legend: 'of a root: {{use}}' },
      ],
    },
    {
      title: 'Age of the keys of token issuers',
      unit: 's',
      queries: [{ expr: 'time() - max by (issuer) (hauberk_issuer_keys_fetched_seconds)', legend: '{{issuer}}' }],
    },
    {
      title: 'Pods without a sidecar',
      unit: 'short',
      queries: [{ expr: 'max by (namespace) (hauberk_unmeshed_pods) or vector(0)', legend: '{{namespace}}' }],
    },
  ],
}

const GATEWAY_BOARD: Dashboard = {
  name: 'gateway',
  title: 'Hauberk / Gateway',
  description: 'What comes from outside.',
  variables: ['namespace'],
  panels: [
    {
      title: 'Requests by status',
      unit: 'reqps',
      queries: [{ expr: `sum by (status) (${rate('hauberk_requests_total', GATEWAY)})`, legend: '{{status}}' }],
    },
    {
      title: 'Requests by route',
      unit: 'reqps',
      queries: [{ expr: `sum by (route) (${rate('hauberk_requests_total', GATEWAY)})`, legend: '{{route}}' }],
    },
    { title: 'Duration', unit: 's', queries: DURATION_QUANTILES(GATEWAY) },
    {
      title: 'Duration by route, p99',
      unit: 's',
      queries: [{ expr: quantile(0.99, GATEWAY, ['route']), legend: '{{route}}' }],
    },
    {
      title: 'Refused by the gateway',
      description: 'What the services behind it refuse is among the requests by status.',
      unit: 'reqps',
      queries: [
        { expr: `sum by (denial, rule) (${rate('hauberk_denials_total', GATEWAY)})`, legend: '{{denial}} {{rule}}' },
      ],
    },
    {
      title: 'Failed and aborted',
      unit: 'reqps',
      queries: [
        {
          expr: `sum by (outcome) (${rate('hauberk_requests_total', `${GATEWAY}, outcome!="allowed"`)})`,
          legend: '{{outcome}}',
        },
      ],
    },
    {
      title: 'Networks with the most refusals',
      description: 'In the last minute.',
      unit: 'short',
      width: 12,
      queries: [
        {
          expr: `sum by (offence, offender) (hauberk_offender_refusals{${GATEWAY}, by="network"})`,
          legend: '{{offender}}: {{offence}}',
        },
      ],
    },
    {
      title: 'Networks that were refused',
      description: 'How many different ones, in the last minute.',
      unit: 'short',
      width: 12,
      queries: [{ expr: `max by (offence) (hauberk_offenders{${GATEWAY}, by="network"})`, legend: '{{offence}}' }],
    },
  ],
}

const WORKLOAD: Dashboard = {
  name: 'workload',
  title: 'Hauberk / Workload',
  description: 'One workload, as its sidecar sees it.',
  variables: ['namespace', 'pod'],
  panels: [
    {
      title: 'Inbound by status',
      unit: 'reqps',
      queries: [
        {
          expr: `sum by (status) (${rate('hauberk_requests_total', `${POD}, direction="inbound"`)})`,
          legend: '{{status}}',
        },
      ],
    },
    {
      title: 'Inbound by caller',
      unit: 'reqps',
      queries: [
        {
          expr: `sum by (caller, outcome) (${rate('hauberk_caller_requests_total', `${POD}, direction="inbound"`)})`,
          legend: '{{caller}} {{outcome}}',
        },
      ],
    },
    { title: 'Inbound duration', unit: 's', queries: DURATION_QUANTILES(`${POD}, direction="inbound"`) },
    {
      title: 'Outbound by destination',
      unit: 'reqps',
      queries: [
        {
          expr: `sum by (route, outcome) (${rate('hauberk_requests_total', `${POD}, direction="outbound"`)})`,
          legend: '{{route}} {{outcome}}',
        },
      ],
    },
    {
      title: 'Refused, by rule',
      unit: 'reqps',
      queries: [
        {
          expr: `sum by (denial, rule, policy) (${rate('hauberk_denials_total', POD)})`,
          legend: '{{denial}} {{rule}} {{policy}}',
        },
      ],
    },
    {
      title: 'Would be refused by dry runs',
      unit: 'reqps',
      queries: [
        {
          expr: `sum by (denial, rule, policy) (${rate('hauberk_dry_run_denials_total', POD)})`,
          legend: '{{denial}} {{rule}} {{policy}}',
        },
      ],
    },
    {
      title: 'Connections and requests',
      unit: 'short',
      queries: [
        { expr: `sum(hauberk_open_connections{${POD}})`, legend: 'connections of clients' },
        { expr: `sum(hauberk_upstream_connections{${POD}})`, legend: 'connections to others' },
        { expr: `sum(hauberk_requests_in_flight{${POD}})`, legend: 'requests in flight' },
      ],
    },
    {
      title: 'Processor',
      unit: 'percentunit',
      queries: [
        { expr: `sum by (pod) (${rate('process_cpu_seconds_total', POD)})`, legend: '{{pod}}' },
        { expr: `max by (pod) (nodejs_eventloop_utilization{${POD}})`, legend: '{{pod}}, event loop' },
      ],
    },
    {
      title: 'Memory',
      unit: 'bytes',
      queries: [{ expr: `sum by (pod) (process_resident_memory_bytes{${POD}})`, legend: '{{pod}}' }],
    },
  ],
}

const SECURITY: Dashboard = {
  name: 'security',
  title: 'Hauberk / Security',
  description: 'Who fails to log in, what attacks, and what refuses it.',
  variables: ['namespace'],
  panels: [
    {
      title: 'Alerts',
      unit: 'short',
      kind: 'table',
      width: 24,
      queries: [
        {
          expr: 'max by (alertname, severity) (ALERTS{alertname=~"Hauberk.*", alertstate="firing"}) or vector(0)',
          legend: '{{severity}} {{alertname}}',
        },
      ],
    },
    {
      title: 'Threats',
      description: 'Refusals that an attack would make: docs/metrics.md#threats.',
      unit: 'reqps',
      width: 12,
      queries: [{ expr: `sum by (threat) (${rate('hauberk_threats_total', NAMESPACE)})`, legend: '{{threat}}' }],
    },
    {
      title: 'Denials by rule',
      unit: 'reqps',
      width: 12,
      queries: [
        {
          expr: `topk(20, sum by (denial, policy, rule) (${rate('hauberk_denials_total', NAMESPACE)}))`,
          legend: '{{denial}} {{policy}} {{rule}}',
        },
      ],
    },
    {
      title: 'Failed logins by network',
      description: 'In the last minute, of those with the most.',
      unit: 'short',
      queries: [
        {
          expr: `max by (offender) (hauberk_offender_refusals{${NAMESPACE}, offence="authentication", by="network"})`,
          legend: '{{offender}}',
        },
      ],
    },
    {
      title: 'Rights that were not there',
      description: '403 in the last minute, by service account and by the pseudonym of a user.',
      unit: 'short',
      queries: [
        {
          expr: `max by (by, offender) (hauberk_offender_refusals{${NAMESPACE}, offence="authorization", by=~"identity|subject"})`,
          legend: '{{by}} {{offender}}',
        },
      ],
    },
    {
      title: 'Scans',
      description: 'Paths that do not exist, in the last minute, by network.',
      unit: 'short',
      queries: [
        {
          expr: `max by (offender) (hauberk_offender_refusals{${NAMESPACE}, offence="unknown-path", by="network"})`,
          legend: '{{offender}}',
        },
      ],
    },
    {
      title: 'Tokens',
      unit: 'reqps',
      queries: [
        {
          expr: `sum by (issuer) (${rate('hauberk_tokens_verified_total', NAMESPACE)})`,
          legend: 'verified: {{issuer}}',
        },
        { expr: `sum by (issuer) (${rate('hauberk_tokens_cached_total', NAMESPACE)})`, legend: 'known: {{issuer}}' },
        {
          expr: `sum by (issuer) (${rate('hauberk_tokens_rejected_total', NAMESPACE)})`,
          legend: 'refused: {{issuer}}',
        },
      ],
    },
    {
      title: 'Handshakes that failed',
      unit: 'cps',
      queries: [
        { expr: `sum by (reason) (${rate('hauberk_handshake_failures_total', NAMESPACE)})`, legend: '{{reason}}' },
      ],
    },
    {
      title: 'Connections without TLS that were taken',
      description: 'By Permissive and Disabled ports.',
      unit: 'cps',
      queries: [
        {
          expr: `sum by (pod, listener) (${rate('hauberk_plaintext_connections_total', NAMESPACE)}) or vector(0)`,
          legend: '{{pod}} {{listener}}',
        },
      ],
    },
  ],
}

/** File names and their JSON. */
export function dashboardFiles(): ReadonlyMap<string, string> {
  return new Map([MESH, GATEWAY_BOARD, WORKLOAD, SECURITY].map((one) => [`${one.name}.json`, render(one)]))
}

// biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana fills it in
const SOURCE = { type: 'prometheus', uid: '${datasource}' }
const COLUMNS = 24
const HEIGHT = 8

function render({ name, title, description, variables, panels }: Dashboard): string {
  const dashboard = {
    title,
    description,
    uid: `hauberk-${name}`,
    tags: ['hauberk'],
    schemaVersion: 39,
    editable: true,
    refresh: '30s',
    time: { from: 'now-1h', to: 'now' },
    templating: {
      list: [
        { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus' },
        ...variables.map((variable) => ({
          name: variable,
          label: variable === 'pod' ? 'Pod' : 'Namespace',
          type: 'query',
          datasource: SOURCE,
          query: { query: VALUES_OF[variable], refId: variable },
          refresh: 2,
          includeAll: true,
          multi: true,
          allValue: '.*',
          current: { text: 'All', value: '$__all' },
        })),
      ],
    },
    panels: placed(panels),
  }
  return `${JSON.stringify(dashboard, undefined, 2)}\n`
}

const VALUES_OF = {
  namespace: 'label_values(hauberk_config_info, namespace)',
  pod: 'label_values(hauberk_config_info{namespace=~"$namespace"}, pod)',
} as const

/** From left to right, and on to the next row where one is full. */
function placed(panels: readonly Panel[]): readonly unknown[] {
  let x = 0
  let y = 0
  return panels.map(({ title, description, unit, kind = 'timeseries', width = 8, queries }, i) => {
    if (x + width > COLUMNS) {
      x = 0
      y += HEIGHT
    }
    const gridPos = { x, y, w: width, h: HEIGHT }
    x += width
    return {
      id: i + 1,
      title,
      ...(description !== undefined && { description }),
      type: kind,
      datasource: SOURCE,
      gridPos,
      fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
      targets: queries.map(({ expr, legend }, n) => ({
        refId: String.fromCharCode(65 + n),
        expr,
        legendFormat: legend,
        ...(kind === 'table' && { instant: true, format: 'table' }),
      })),
    }
  })
}
