import { Document, isScalar, visit } from 'yaml'
import type { Consideration } from '../../model/filter.ts'
import { columnsOf, type Row } from '../output/columns.ts'
import type { Paint } from '../paint.ts'
import type { Answer } from './answer.ts'
import type { PolicyChange } from './policy-change.ts'

/** Where a rule of a policy is written: `samples/shop/orders.yaml:96`; undefined when nobody knows. */
export type Place = (origin: string, rule: string | undefined) => string | undefined

/** What is said of a request, to be read at a glance: the request, every rule, the outcome, and what would change it. */
export function formatAnswer(answer: Answer, paint: Paint, place: Place): string {
  const sections = [
    headText(answer, paint),
    columnsOf(answer.considerations.map((each) => rowOf(each, paint))),
    outcomeText(answer, paint, place),
    answer.outcome === 'allowed' ? trafficText(answer, paint) : '',
    changesText(answer, paint, place),
    answer.notes.map((note) => `${paint('dim', `note: ${note}`)}\n`).join(''),
  ]
  return sections.filter((text) => text !== '').join('\n')
}

function headText({ workload, to, request, route, decisionId, time }: Answer, paint: Paint): string {
  const { method, path, host, port, caller, clientIp, issuer, subject, client, user, database } = request
  const what = method === undefined ? 'a connection' : `${method} ${path}`
  const facts: readonly (readonly [string, string])[] = [
    ...(decisionId === undefined ? [] : [['decision', `${decisionId} at ${time}`] as const]),
    ['caller', caller ?? `no certificate of the mesh, from ${clientIp}`],
    ...(to === undefined
      ? [
          [
            'token',
            issuer === undefined ? 'none' : `of ${issuer}${subject === undefined ? '' : `, sub ${subject}`}`,
          ] as const,
        ]
      : []),
    ...(client === undefined ? [] : [['api key', `of ${client}`] as const]),
    ...(user === undefined ? [] : [['user', `${user} in ${database}`] as const]),
    ...(host === undefined ? [] : [['host', host] as const]),
    ...(route === undefined ? [] : [['route', route] as const]),
  ]
  const lines = facts.map(([name, value]) => `  ${paint('dim', name.padEnd(8))}  ${value}\n`)
  const where =
    to === undefined
      ? `→ ${paint('bold', workload)} port ${port}`
      : `of ${paint('bold', workload)} → Service ${paint('bold', to)} port ${port}`
  return `${paint('bold', what)} ${where}\n${lines.join('')}`
}

/** Each backend with its share, and below it how it is asked; who says so stands behind. */
function trafficText({ traffic = [] }: Answer, paint: Paint): string {
  return traffic
    .map(({ upstream, percent, spiffeIds, settings }) => {
      const to = upstream === undefined ? paint('red', 'a backend that is not there: 500') : paint('bold', upstream)
      const as = spiffeIds.length === 0 ? '' : paint('dim', `  who must be ${spiffeIds.join(' or ')}`)
      const lines = settings.map(({ name, value, by }) => {
        const said = paint('dim', by === undefined ? '  (default)' : `  (${by})`)
        return `    ${paint('dim', name.padEnd(8))}  ${value}${said}\n`
      })
      return `  → ${percent} % to ${to}${as}\n${lines.join('')}`
    })
    .join('')
}

function rowOf(each: Consideration, paint: Paint): Row {
  const { filter, rule, effect, outcome, field, expected, got } = each
  const isDim = outcome === 'not-matched' || outcome === 'skipped'
  const text = (words: string) => (isDim ? paint('dim', words) : words)
  const label = [effect, rule].filter((word) => word !== undefined).join(' ')
  const details = [
    ...(expected === undefined ? [] : [`expected  ${expected}`]),
    ...(got === undefined ? [] : [`got       ${got}`]),
  ]
  const isOpen = outcome === 'not-matched' || outcome === 'denied'
  const shown = [expected, got === expected ? undefined : got].filter((words) => words !== undefined).join('; ')
  const short = field === undefined || shown === '' ? '' : paint('dim', ` (${field}: ${shown})`)
  const said = isOpen && field !== undefined ? `${WORDS[outcome]}: ${field}` : WORDS[outcome]
  return {
    cells: [`${markOf(each, paint)} ${text(filter)}`, text(label), text(said) + (isOpen ? '' : short)],
    below: isOpen ? details.map((line) => paint('dim', `  ${line}`)) : [],
  }
}

const WORDS: Readonly<Record<Consideration['outcome'], string>> = {
  matched: 'matches',
  'not-matched': 'does not match',
  allowed: 'allows',
  denied: 'refuses',
  answered: 'answers',
  skipped: 'has nothing to say',
}

function markOf({ outcome, effect }: Consideration, paint: Paint): string {
  switch (outcome) {
    case 'allowed':
    case 'answered':
      return paint('green', '✓')
    case 'denied':
      return paint('red', '✗')
    case 'matched':
      return effect === 'deny' ? paint('red', '✗') : paint('green', '✓')
    case 'not-matched':
      return paint('dim', effect === 'deny' ? '·' : '✗')
    case 'skipped':
      return paint('dim', '·')
  }
}

function outcomeText(answer: Answer, paint: Paint, place: Place): string {
  const { outcome, detail, dryRun } = answer
  const lines = [
    outcome === 'denied'
      ? `${paint('red', `✗ refused: ${refusalText(answer)}`)}${bySomebody(answer, place)}`
      : outcome === 'answered'
        ? `${paint('green', '✓ answered by the mesh')}${bySomebody(answer, place)}`
        : `${paint('green', answer.to === undefined ? '✓ allowed' : '✓ sent on')}${bySomebody(answer, place)}`,
    ...(detail === undefined ? [] : [`  ${detail}`]),
    ...(outcome === 'allowed' && dryRun?.outcome === 'denied'
      ? [
          `${paint('yellow', `! a dry run would refuse it: ${dryRun.status} ${dryRun.denial}`)}${bySomebody(dryRun, place)}`,
        ]
      : []),
  ]
  return lines.map((line) => `${line}\n`).join('')
}

/** A connection of opaque TCP is closed without a word, so there is no status to tell. */
function refusalText({ status, denial, request }: Answer): string {
  return [request.method === undefined ? undefined : status, denial].filter((word) => word !== undefined).join(' ')
}

function bySomebody({ rule, origins = [], filter }: Pick<Answer, 'rule' | 'origins' | 'filter'>, place: Place): string {
  const [origin] = origins
  const policies = origins.length === 0 ? '' : ` of ${origins.join(', ')}`
  const where = origin === undefined || origins.length > 1 ? undefined : place(origin, rule)
  const at = where === undefined ? '' : ` (${where})`
  if (rule !== undefined) return `, by rule ${rule}${policies}${at}`
  return filter === undefined ? '' : `, by ${filter}${policies}${at}`
}

function changesText({ outcome, changes = [], policyChange, decisionId }: Answer, paint: Paint, place: Place): string {
  if (outcome !== 'denied') return ''
  const heading = decisionId === undefined ? 'To be let through:' : 'What the refusing rule asks for:'
  const ways = changes.map((way, i) => `  ${i === 0 ? '→' : 'or'} ${wayText(way)}`)
  const lines = [
    ...(ways.length === 0 ? [] : [paint('bold', heading), ...ways]),
    ...(policyChange === undefined
      ? []
      : policyText(policyChange, place, ways.length > 0 ? 'Or' : 'To let it through')),
  ]
  return lines.map((line) => `${line}\n`).join('')
}

const A_TOKEN = 'send a token '

/** One token is told of once, with all that it must say. */
function wayText(way: readonly string[]): string {
  const tokens = way.filter((text) => text.startsWith(A_TOKEN)).map((text) => text.slice(A_TOKEN.length))
  const others = way.filter((text) => !text.startsWith(A_TOKEN))
  const token = tokens.map((text, i) =>
    i > 0 && text.startsWith('whose') && !tokens[i - 1]?.startsWith('of') ? `and ${text}` : text,
  )
  return [...others, ...(tokens.length === 0 ? [] : [A_TOKEN + token.join(' ')])].join(', and ')
}

function policyText(change: PolicyChange, place: Place, start: string): readonly string[] {
  switch (change.kind) {
    case 'widen': {
      const additions = change.additions.map(({ field, value }) => `add ${value} to ${field}`).join(' and ')
      const where = place(change.origin, change.rule)
      const policy = where === undefined ? change.origin : `${change.origin} (${where})`
      return [`${start} change the policy: in rule ${change.rule} of ${policy} ${additions}`]
    }
    case 'add':
      return [`${start} change the policy: add`, ...yamlLines({ authorization: { allow: [change.rule] } })]
    case 'create': {
      const { service, rule } = change
      return [
        `${start} write a policy for it, such as`,
        ...yamlLines({
          apiVersion: 'hauberk.dev/v1alpha1',
          kind: 'SecurityPolicy',
          metadata: service ?? { name: '...' },
          spec: {
            targetRefs: [
              service === undefined ? { kind: 'Pod', selector: '...' } : { kind: 'Service', name: service.name },
            ],
            authorization: { allow: [rule] },
          },
        }),
      ]
    }
  }
}

function yamlLines(value: unknown): readonly string[] {
  const document = new Document(value)
  // Short lists stand on one line, as people write them.
  visit(document, {
    Seq(_, node) {
      if (node.items.every((item) => isScalar(item))) node.flow = true
    },
  })
  return document
    .toString({ lineWidth: 0, flowCollectionPadding: false })
    .trimEnd()
    .split('\n')
    .map((line) => `    ${line}`)
}
