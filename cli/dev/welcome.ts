import { relative } from 'node:path'
import type { Resource } from '../../model/resource.ts'
import { readHTTPRoute } from '../../operator/resources/http-route.ts'
import type { Paint } from '../paint.ts'
import { GENERATE_ANNOTATION, parseGenerators } from './generate.ts'
import type { LocalMesh } from './local-mesh.ts'

/**
 * On a Gateway: commands to try, each below a line `# what comes of it`. `$CA`, `$HTTPS_PORT`, `$HTTP_PORT` and `$SECRETS`
 * stand for what they are on this machine.
 */
export const TRY_ANNOTATION = 'hauberk.dev/try'

/** Commands at most. */
const MAX_TRIES = 3

type MeshFacts = Pick<LocalMesh, 'stateDirectory' | 'httpsPort' | 'httpPort' | 'caFile' | 'listeners' | 'snapshot'>

/** What a person needs to know when a mesh has started: where it is, what to trust, how to log in, what to try. */
export function welcomePage(mesh: MeshFacts, paint: Paint, directory: string): string {
  const path = (absolute: string) => quoted(shortest(absolute, directory))
  const secrets = `${mesh.stateDirectory}/secrets`
  const passwords = passwordFiles(mesh.snapshot().ofKind('Secret')).map((file) => `cat ${path(`${secrets}/${file}`)}`)
  const tries = triesOf(mesh, path, secrets)
  const rows: (readonly [string, string])[] = [
    ...mesh.listeners.map(({ protocol, hostname, localPort }, i) => {
      const url = `${protocol}://${hostname ?? 'localhost'}:${localPort}`
      return [i === 0 ? 'Gateway' : '', paint(['bold', 'underline'], url)] as const
    }),
    ['Trust anchor', path(mesh.caFile)],
    ...passwords.map((command, i) => [i === 0 ? 'Passwords' : '', command] as const),
    ['Logs', path(`${mesh.stateDirectory}/logs`)],
  ]
  const facts = rows.map(([name, value]) => ` ${paint('dim', name.padEnd(13))} ${value}`)
  const commands = tries.flatMap(({ comment, command }) => ['', ` ${paint('dim', `# ${comment}`)}`, ` ${command}`])
  return [
    '',
    ...facts,
    ...(commands.length > 0 ? ['', ` ${paint('bold', 'Try')}`, ...commands.slice(1)] : []),
    '',
  ].join('\n')
}

interface Try {
  readonly comment: string
  readonly command: string
}

function triesOf(mesh: MeshFacts, path: (absolute: string) => string, secrets: string): readonly Try[] {
  const values: Readonly<Record<string, string>> = {
    CA: path(mesh.caFile),
    SECRETS: path(secrets),
    HTTPS_PORT: String(mesh.httpsPort),
    HTTP_PORT: String(mesh.httpPort),
  }
  const written = mesh
    .snapshot()
    .ofKind('Gateway')
    .flatMap(({ metadata }) => parseTries(metadata.annotations?.[TRY_ANNOTATION] ?? ''))
    .map(({ comment, command }) => ({
      comment,
      command: command.replace(/\$(CA|SECRETS|HTTPS_PORT|HTTP_PORT)\b/g, (_, name: string) => values[name] ?? ''),
    }))
  return (written.length > 0 ? written : derivedTries(mesh, path)).slice(0, MAX_TRIES)
}

/** A line that begins with `#` says what the line after it does. */
function parseTries(text: string): readonly Try[] {
  const tries: Try[] = []
  let comment = ''
  for (const line of text.split('\n').map((each) => each.trim())) {
    if (line.startsWith('#')) comment = line.slice(1).trim()
    else if (line !== '') {
      tries.push({ comment, command: line })
      comment = ''
    }
  }
  return tries
}

/** Where nobody wrote what to try: the first routes of the first listener with TLS, or of any. */
function derivedTries({ listeners, caFile, snapshot }: MeshFacts, path: (absolute: string) => string): readonly Try[] {
  const listener =
    listeners.find(({ protocol }) => protocol === 'https') ?? listeners.find(({ protocol }) => protocol === 'http')
  if (listener === undefined || listener.hostname?.startsWith('*')) return []
  const { protocol, hostname = 'localhost', localPort } = listener
  const ca = protocol === 'https' ? `--cacert ${path(caFile)} ` : ''
  const paths = new Map<string, string>()
  for (const resource of snapshot().ofKind('HTTPRoute')) {
    const read = readHTTPRoute(resource)
    if (!read.ok) continue
    for (const { matches = [{}] } of read.value.spec.rules ?? []) {
      for (const match of matches) paths.set(match.path?.value ?? '/', resource.metadata.name)
    }
  }
  return [...paths].map(([target, route]) => ({
    comment: `route ${route}`,
    command: `curl -i ${ca}${quoted(`${protocol}://${hostname}:${localPort}${target}`)}`,
  }))
}

/** The first password of each Secret that holds people's. */
function passwordFiles(secrets: readonly Resource[]): readonly string[] {
  return secrets.flatMap(({ metadata }) => {
    const parsed = parseGenerators(metadata.annotations?.[GENERATE_ANNOTATION] ?? '{}')
    if (!parsed.ok) return []
    return [...parsed.value.values()].flatMap((generator) =>
      generator.kind === 'scrypt-users'
        ? [`${metadata.namespace ?? 'default'}/${metadata.name}/${generator.passwords}${generator.users[0]}`]
        : [],
    )
  })
}

/** As it is typed in `directory`. */
function shortest(absolute: string, directory: string): string {
  const local = relative(directory, absolute)
  return local.startsWith('..') ? absolute : local
}

function quoted(text: string): string {
  return /^[\w./:@%,+=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`
}
