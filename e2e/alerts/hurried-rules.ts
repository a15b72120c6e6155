import { parse, stringify } from 'yaml'

/** An alert of the chart's rules. */
export interface Alert {
  readonly name: string
  readonly severity: string
}

interface Rule {
  readonly alert?: string
  readonly expr: string
  readonly for?: string
  readonly labels?: Readonly<Record<string, string>>
}

interface RulesFile {
  readonly groups: readonly { readonly name: string; readonly rules: readonly Rule[] }[]
}

/**
 * The same rules with time made shorter by `factor`: each range (`[5m]`) and each `for`. Nothing else is changed: rates a second,
 * numbers of clients and shares of a life are what they are. So what fires here after 3 s fires in a cluster after a minute, when
 * the attack goes on as it does here.
 */
export function hurriedRules(text: string, factor: number): string {
  const { groups } = parse(text) as RulesFile
  const hurry = (duration: string) => `${Math.max(1, Math.round(secondsIn(duration) / factor))}s`
  return stringify({
    groups: groups.map((group) => ({
      ...group,
      rules: group.rules.map((rule) => ({
        ...rule,
        expr: rule.expr.replaceAll(/\[(\d+[smhd])\]/g, (_, range: string) => `[${hurry(range)}]`),
        ...(rule.for !== undefined && { for: hurry(rule.for) }),
      })),
    })),
  })
}

export function alertsIn(text: string): readonly Alert[] {
  const { groups } = parse(text) as RulesFile
  return groups.flatMap(({ rules }) =>
    rules.flatMap(({ alert, labels }) =>
      alert === undefined ? [] : { name: alert, severity: labels?.['severity'] ?? '' },
    ),
  )
}

const SECONDS = { s: 1, m: 60, h: 3_600, d: 86_400 } as const

function secondsIn(duration: string): number {
  const [, number, unit = 's'] = /^(\d+)([smhd])$/.exec(duration) ?? []
  if (number === undefined) throw new RangeError(`${duration} is no duration of one unit`)
  return Number(number) * SECONDS[unit as keyof typeof SECONDS]
}
