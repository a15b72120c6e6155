import { hash, randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import type { Command } from 'commander'
import { parseDuration } from '../model/duration.ts'
import { describeIssue } from '../model/result.ts'
import { type ApiKey, CLIENT_ID, MAX_CLIENT_LENGTH } from '../policies/api-key/config.ts'
import { formatKeyEntry, KEY_PREFIX, keyEntryName } from '../policies/api-key/key-entry.ts'
import { type Entry, newSecretDocument, openSecretDocument, type SecretDocument } from './api-key/secret-document.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { printDocument } from './output/document.ts'
import { addOutputOption, type OutputFormat } from './output-format.ts'
import { printable } from './printable.ts'
import { type Column, formatTable } from './table.ts'

interface Where {
  readonly file?: string
  readonly secret?: string
  readonly namespace?: string
}

/** `hauberk api-key`: the keys by which programs and partners are known. */
export function defineApiKey(command: Command): void {
  command.addHelpText('after', HELP)
  const create = command.command('create').description('make a key, print it once, and write its hash')
  addWhere(create)
    .argument('<client>', 'whose key it is: a-z, 0-9, -, . and _')
    .option('--expires <when>', 'a duration such as 2160h, or a date such as 2027-01-01; default: never')
    .action(createKey)
  const list = command.command('list').description('show the keys of a Secret: whose, and until when')
  addOutputOption(addWhere(list)).action(listKeys)
  const revoke = command.command('revoke').description('take keys out of a Secret')
  addWhere(revoke)
    .argument('[entry...]', 'as list shows them')
    .option('--client <client>', 'all keys of this client')
    .action(revokeKeys)
}

const HELP = `
Examples:
  hauberk api-key create acme -f keys.yaml --secret partner-keys -n shop --expires 2160h
  hauberk api-key create acme --secret partner-keys -n shop        prints the kubectl command that writes the hash
  hauberk api-key list -f keys.yaml
  kubectl get secret partner-keys -n shop -o yaml | hauberk api-key list -f -
  hauberk api-key revoke acme.Zk3v9QpL -f keys.yaml
  kubectl get secret partner-keys -n shop -o yaml | hauberk api-key revoke --client acme -f - | kubectl replace -f -

A key has 256 random bits. It goes to stdout, once: nobody can read it again, for the Secret has its hash alone. A client may have several keys,
so that the next one is in use before the old one is revoked. A policy names the Secret: authentication.apiKeys.secretRef.
Exit codes: 0 done, 1 failed, 2 wrong usage.`

function addWhere(command: Command): Command {
  return command
    .option('-f, --file <file>', 'the YAML of the Secret (- is the input)')
    .option('--secret <name>', 'which Secret of the file; also the name of a new one')
    .option('-n, --namespace <name>', 'of a new Secret')
}

async function createKey(client: string, options: Where & { readonly expires?: string }): Promise<void> {
  if (!CLIENT_ID.test(client)) {
    throw usage(
      `a client has 1 to ${MAX_CLIENT_LENGTH} characters a-z, 0-9, -, . and _, and begins and ends with one of the first two`,
    )
  }
  if (options.file === '-') throw usage('create cannot edit the input, for the key goes to the output: leave -f out')
  const expiresAtMs = expiryOf(options.expires, Date.now())
  const key = `${KEY_PREFIX}${randomBytes(32).toString('base64url')}`
  const entry: ApiKey = {
    client,
    sha256: hash('sha256', key, 'base64url'),
    ...(expiresAtMs !== undefined && { expiresAtMs }),
  }
  const name = keyEntryName(entry)
  const until = expiresAtMs === undefined ? '' : `, until ${new Date(expiresAtMs).toISOString()}`
  if (options.file === undefined) {
    const patch = JSON.stringify({ stringData: { [name]: formatKeyEntry(entry) } })
    const { secret = 'NAME', namespace } = options
    const place = namespace === undefined ? secret : `${secret} -n ${namespace}`
    process.stderr.write(
      `a key of ${client}${until}; its hash is written by\n  kubectl patch secret ${place} -p '${patch}'\n`,
    )
  } else {
    const document = await openOrNew(options.file, options)
    if (!document.add(entry)) throw new CommandError(EXIT.failure, `there is an entry ${name} already: try again`)
    await writeFile(options.file, document.print())
    process.stderr.write(`a key of ${client}${until}; its hash is ${name} in ${printable(options.file)}\n`)
  }
  process.stdout.write(`${key}\n`)
}

async function listKeys(options: Where & { readonly output: OutputFormat }): Promise<void> {
  const nowMs = Date.now()
  const { entries } = await open(options)
  if (options.output !== 'table') {
    const rows = entries.map(({ name, key }) => ({
      entry: name,
      ...(key !== undefined && { client: key.client }),
      ...(key?.expiresAtMs !== undefined && { expires: new Date(key.expiresAtMs).toISOString() }),
      state: stateOf(key, nowMs),
    }))
    printDocument(rows, options.output, process.stdout)
    return
  }
  const columns: readonly Column<Entry>[] = [
    { title: 'ENTRY', cell: ({ name }) => printable(name) },
    { title: 'CLIENT', cell: ({ key }) => key?.client ?? '-' },
    {
      title: 'EXPIRES',
      cell: ({ key }) => (key?.expiresAtMs === undefined ? 'never' : new Date(key.expiresAtMs).toISOString()),
    },
    { title: 'STATE', cell: ({ key }) => stateOf(key, nowMs) },
  ]
  process.stdout.write(formatTable(entries, columns))
}

async function revokeKeys(names: readonly string[], options: Where & { readonly client?: string }): Promise<void> {
  const { client } = options
  if ((names.length === 0) === (client === undefined)) throw usage('say either entries or --client')
  const document = await open(options)
  const revoked = document.entries.filter(({ name, key }) =>
    client === undefined ? names.includes(name) : key?.client === client,
  )
  const missing = names.filter((name) => !revoked.some((entry) => entry.name === name))
  if (missing.length > 0) throw new CommandError(EXIT.failure, `there is no entry ${missing.join(', ')}`)
  if (revoked.length === 0) throw new CommandError(EXIT.failure, `there is no key of ${client}`)
  for (const { name } of revoked) document.remove(name)
  if (options.file === '-') process.stdout.write(document.print())
  else await writeFile(options.file ?? '', document.print())
  process.stderr.write(`revoked ${revoked.map(({ name }) => printable(name)).join(', ')}\n`)
}

function stateOf(key: ApiKey | undefined, nowMs: number): string {
  if (key === undefined) return 'unreadable'
  return key.expiresAtMs !== undefined && key.expiresAtMs <= nowMs ? 'expired' : 'good'
}

function expiryOf(said: string | undefined, nowMs: number): number | undefined {
  if (said === undefined) return undefined
  const duration = parseDuration(said)
  const at = duration.ok ? nowMs + duration.value : /^\d{4}-\d{2}-\d{2}/.test(said) ? Date.parse(said) : Number.NaN
  if (Number.isNaN(at))
    throw usage(`--expires ${said} is neither a duration such as 2160h nor a date such as 2027-01-01`)
  if (at <= nowMs) throw usage(`--expires ${said} is past`)
  return at
}

async function open({ file, secret }: Where): Promise<SecretDocument> {
  if (file === undefined) throw usage('say which file with -f (- is the input)')
  const written = file === '-' ? await text(process.stdin) : await readText(file)
  if (written === undefined) throw new CommandError(EXIT.failure, `there is no file ${file}`)
  return opened(file, written, secret)
}

async function openOrNew(file: string, { secret, namespace }: Where): Promise<SecretDocument> {
  const written = await readText(file)
  if (written !== undefined) return opened(file, written, secret)
  if (secret === undefined) throw usage(`${file} is not there: name the new Secret by --secret`)
  return newSecretDocument(secret, namespace)
}

function opened(file: string, written: string, secret: string | undefined): SecretDocument {
  const document = openSecretDocument(written, secret)
  if (document.ok) return document.value
  throw new CommandError(EXIT.failure, document.issues.map((found) => `${file}: ${describeIssue(found)}`).join('\n'))
}

async function readText(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new CommandError(EXIT.failure, `${file} cannot be read`, { cause })
  }
}

function usage(message: string): CommandError {
  return new CommandError(EXIT.usage, `hauberk api-key: ${message}`)
}
