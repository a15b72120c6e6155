import * as v from 'valibot'
import { decode } from '../contract/codec.ts'
import { describeIssue } from '../model/result.ts'
import { readFileCapped } from '../runtime/atomic-file.ts'
import { LOG_LEVELS, type LogLevel } from '../runtime/log.ts'

/** Everything that an operator of the local mesh is told at its start. */
export interface OperatorOptions {
  /** Files, directories and globs of YAML. */
  readonly files: readonly string[]
  /** The CA's keys in `ca/`, join tokens in `join/`; only this process and whoever mints tokens may read it. */
  readonly stateDirectory: string
  /** Where the roots are written for sidecars, and for `curl --cacert`. */
  readonly trustAnchorsFile: string
  readonly listen: { readonly host: string; readonly port: number }
  readonly admin: { readonly port: number; readonly tokenFile: string }
  /** Where the status of every resource is written; absent: nowhere. */
  readonly statusFile?: string
  /** Milliseconds; instead of MeshConfig `certificates.lifetime`. */
  readonly leafLifetimeMs?: number
  readonly logLevel: LogLevel
}

const port = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65535))

const Schema = v.strictObject({
  files: v.pipe(v.array(v.string()), v.minLength(1)),
  stateDirectory: v.string(),
  trustAnchorsFile: v.string(),
  listen: v.strictObject({ host: v.string(), port }),
  admin: v.strictObject({ port, tokenFile: v.string() }),
  statusFile: v.exactOptional(v.string()),
  leafLifetimeMs: v.exactOptional(v.pipe(v.number(), v.minValue(30_000))),
  logLevel: v.optional(v.picklist(LOG_LEVELS), 'info'),
})

/** Reads the options file. Throws an Error that names every mistake in it. */
export async function readOperatorOptions(path: string): Promise<OperatorOptions> {
  const decoded = decode(Schema, (await readFileCapped(path, MAX_OPTIONS_BYTES)).toString('utf8'))
  if (!decoded.ok) throw new Error(`${path}: ${decoded.issues.map(describeIssue).join('; ')}`)
  return decoded.value
}

const MAX_OPTIONS_BYTES = 262_144
