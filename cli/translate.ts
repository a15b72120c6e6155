import type { Command } from 'commander'
import { Option } from 'commander'
import { withoutPrivateKeys } from '../contract/without-keys.ts'
import type { FilterSlots, StreamListener, WorkloadConfig } from '../contract/workload-config.ts'
import { CommandError, EXIT } from './exit-code.ts'
import type { FileMesh } from './file-mesh.ts'
import { addFileOption } from './file-option.ts'
import { printDocument } from './output/document.ts'
import { OUTPUT_FORMATS, type OutputFormat } from './output-format.ts'
import { printableIn } from './printable.ts'
import { readSoundFiles } from './sound-files.ts'
import { type Column, formatTable } from './table.ts'
import { findWorkload } from './workload-name.ts'

interface TranslateOptions {
  readonly file?: readonly string[]
  readonly output?: OutputFormat
}

/** `hauberk translate`: what sidecars would be sent. */
export function defineTranslate(command: Command): void {
  addFileOption(command)
    .argument('[workload]', 'namespace/name, a name that only one namespace has, or gateway')
    .addOption(new Option('-o, --output <format>', 'table lists, yaml and json print whole').choices(OUTPUT_FORMATS))
    .addHelpText('after', HELP)
    .action(async (word: string | undefined, { file, output }: TranslateOptions) => {
      if (file === undefined) throw new CommandError(EXIT.usage, 'hauberk translate: say which files with -f')
      const mesh = await readSoundFiles(file, process.stderr)
      const configs = [...mesh.translation.configs.values()].toSorted((a, b) => (a.workload < b.workload ? -1 : 1))
      const chosen = word === undefined ? configs : [findWorkload(word, configs)]
      const format = output ?? (word === undefined ? 'table' : 'yaml')
      if (format === 'table') process.stdout.write(formatTable(printableIn(chosen), COLUMNS))
      else {
        const documents = chosen.map((config) => documentsOf(config, mesh))
        printDocument(word === undefined ? documents : documents[0], format, process.stdout)
      }
    })
}

const HELP = `
Examples:
  hauberk translate -f samples/shop                    every workload, its ports, and the policies that it obeys
  hauberk translate -f samples/shop orders             what the sidecar of orders would be sent
  hauberk translate -f samples/shop gateway -o json | jq .config.listeners

Trust anchors, and the pods that endpoints are made of, are not in files: a running mesh has them.
Private keys are never printed.
Exit codes: 0 translated, 1 failed, 2 wrong usage, 79 the files have errors.`

/** What one sidecar gets, but for the keys of token issuers. */
function documentsOf(config: WorkloadConfig, { translation }: FileMesh) {
  const [, endpoints] = [...translation.endpoints].find(([id]) => id === config.workload) ?? []
  return { config: withoutPrivateKeys(config), endpoints }
}

const COLUMNS: readonly Column<WorkloadConfig>[] = [
  { title: 'WORKLOAD', cell: ({ workload }) => workload },
  {
    title: 'LISTENERS',
    cell: ({ listeners, streams = [] }) =>
      [...listeners.map(listenerText), ...streams.map(streamText)].join(', ') || 'none',
  },
  { title: 'POLICIES', cell: (config) => policiesOf(config).join(', ') || 'none' },
  { title: 'VERSION', cell: ({ version }) => version.slice(0, 12) },
]

function listenerText(listener: WorkloadConfig['listeners'][number]): string {
  if (listener.kind === 'gateway') return `${listener.name} ${listener.port}/${listener.protocol}`
  return `${listener.port}/${listener.protocol} ${listener.mtls}`
}

function streamText({ name, port, protocol, mode }: StreamListener): string {
  return [`${name} ${port}/${protocol}`, ...(mode === undefined ? [] : [mode])].join(' ')
}

/** Names of the policies behind anything that the config enforces or tries, or keeps to when it calls others, without their generations. */
function policiesOf({ listeners, streams = [], upstreams }: WorkloadConfig): readonly string[] {
  const nameOf = (origin: string) => origin.replace(/@[0-9]+$/, '')
  const names = (slots: FilterSlots) =>
    Object.values(slots).flatMap((list) => list.flatMap(({ origins }) => origins.map(nameOf)))
  const ofTraffic = Object.values(upstreams).flatMap(({ traffic }) => (traffic?.origins ?? []).map(nameOf))
  const found = listeners.flatMap((listener) => [
    ...(listener.kind === 'inbound' ? names(listener.filters) : []),
    ...listener.routes.flatMap(({ filters }) => names(filters)),
  ])
  const carried = streams.flatMap(({ routes }) => routes.flatMap(({ filters }) => names(filters)))
  return [...new Set([...found, ...carried, ...ofTraffic])].sort()
}
