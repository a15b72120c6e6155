import { globSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Prometheus } from './prometheus.ts'

const DASHBOARDS = resolve(import.meta.dirname, '../../charts/hauberk/files/dashboards')

/** A query of a panel. */
export interface PanelQuery {
  readonly dashboard: string
  readonly panel: string
  readonly expression: string
}

interface Dashboard {
  readonly title: string
  readonly panels: readonly {
    readonly title: string
    readonly targets?: readonly { readonly expr: string }[]
  }[]
}

/** Every query of every panel, with `All` chosen for each variable, as Grafana sends it. */
export function panelQueries(rateInterval: string): readonly PanelQuery[] {
  return globSync('*.json', { cwd: DASHBOARDS })
    .sort()
    .flatMap((file) => {
      const { title, panels } = JSON.parse(readFileSync(join(DASHBOARDS, file), 'utf8')) as Dashboard
      return panels.flatMap(({ title: panel, targets = [] }) =>
        targets.map(({ expr }) => ({
          dashboard: title,
          panel,
          expression: expr
            .replaceAll('$__rate_interval', rateInterval)
            .replaceAll('$__range', rateInterval)
            .replaceAll(/\$(?:namespace|pod|route)\b/g, '.*'),
        })),
      )
    })
}

/** What has no data of those, or is no query. */
export async function withoutData(
  prometheus: Prometheus,
  queries: readonly PanelQuery[],
): Promise<readonly PanelQuery[]> {
  const empty: PanelQuery[] = []
  for (const query of queries) {
    const samples = await prometheus.query(query.expression)
    if (!samples.some(({ value }) => !Number.isNaN(value))) empty.push(query)
  }
  return empty
}
