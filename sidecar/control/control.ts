import type { AnyDocument } from '../../contract/encode-for.ts'
import type { EndpointsDocument } from '../../contract/endpoints.ts'
import type { KeysDocument } from '../../contract/keys.ts'
import type { RevocationsDocument } from '../../contract/revocations.ts'
import type { DocumentKind } from '../../contract/session.ts'
import { CONTRACT_VERSION, type WorkloadConfig } from '../../contract/workload-config.ts'
import { issue, ok, type Result } from '../../model/result.ts'
import type { Log } from '../../runtime/log.ts'
import { type CompileDeps, compile } from '../compile/compile.ts'
import type { Pipeline } from '../compile/pipeline.ts'
import type { IssuerKeys } from './keys.ts'
import type { LastGood } from './last-good.ts'
import type { RevokedTokens } from './revocations.ts'

/** What this sidecar obeys now. Each accessor returns one reference that is swapped whole. */
export interface Control {
  pipeline(): Pipeline | undefined
  endpoints(): EndpointsDocument
  /** The keys of token issuers as they were taken last. */
  keys(): KeysDocument | undefined
  /** The revocations as they were taken last; undefined before there were any. */
  revocations(): RevocationsDocument | undefined
  /** Versions held, for the hello. */
  have(): {
    readonly config?: string
    readonly endpoints?: string
    readonly keys?: string
    readonly revocations?: string
  }
  /** Takes a document; a failure means that nothing changed and the operator is to be told. */
  accept(kind: DocumentKind, document: AnyDocument): Result<string>
  /** Takes what is on disk. True when there is enough to serve by. */
  restore(): Promise<boolean>
}

export interface ControlOptions {
  /** `namespace/name`: a config for another workload is refused. */
  readonly workload: string
  readonly deps: CompileDeps
  readonly keys: IssuerKeys
  readonly revocations: RevokedTokens
  readonly lastGood: LastGood
  readonly log: Log
  /** Called after the reference was swapped. */
  readonly onPipeline: (previous: Pipeline | undefined, pipeline: Pipeline) => void
  readonly onEndpoints: (endpoints: EndpointsDocument) => void
  readonly onKeys?: (document: KeysDocument) => void
  readonly onRevocations?: () => void
}

const NO_ENDPOINTS: EndpointsDocument = { contract: CONTRACT_VERSION, version: '', endpoints: {} }

export function createControl(options: ControlOptions): Control {
  const { workload, deps, keys, revocations, lastGood, log } = options
  let pipeline: Pipeline | undefined
  let endpoints = NO_ENDPOINTS
  let keysDocument: KeysDocument | undefined
  let revocationsDocument: RevocationsDocument | undefined

  const acceptConfig = (config: WorkloadConfig): Result<string> => {
    if (config.workload !== workload) {
      const foreign = issue('foreign-config', 'workload', `is ${config.workload}, and this sidecar is ${workload}'s`)
      return { ok: false, issues: [foreign] }
    }
    const compiled = compile(config, pipeline, deps)
    if (!compiled.ok) return compiled
    const previous = pipeline
    pipeline = compiled.value
    options.onPipeline(previous, pipeline)
    return ok(config.version)
  }

  const apply = (kind: DocumentKind, document: AnyDocument): Result<string> => {
    switch (kind) {
      case 'config':
        return acceptConfig(document as WorkloadConfig)
      case 'endpoints':
        endpoints = document as EndpointsDocument
        options.onEndpoints(endpoints)
        return ok(endpoints.version)
      case 'keys':
        keysDocument = document as KeysDocument
        keys.replace(keysDocument)
        options.onKeys?.(keysDocument)
        return ok(document.version)
      case 'revocations':
        revocationsDocument = document as RevocationsDocument
        revocations.replace(revocationsDocument)
        options.onRevocations?.()
        return ok(document.version)
    }
  }

  return {
    pipeline: () => pipeline,
    endpoints: () => endpoints,
    keys: () => keysDocument,
    revocations: () => revocationsDocument,
    have: () => ({
      ...(pipeline && { config: pipeline.version }),
      ...(endpoints.version !== '' && { endpoints: endpoints.version }),
      ...(keysDocument !== undefined && { keys: keysDocument.version }),
      ...(revocationsDocument !== undefined && { revocations: revocationsDocument.version }),
    }),
    accept(kind, document) {
      const applied = apply(kind, document)
      if (applied.ok) {
        lastGood.save(kind, document)
        log.info('configuration taken', { 'hauberk.document': kind, 'hauberk.version': document.version })
      } else {
        log.error('configuration refused, the last good one stays', {
          'hauberk.document': kind,
          'hauberk.version': document.version,
          issues: applied.issues,
        })
      }
      return applied
    },
    async restore() {
      const documents = await lastGood.load()
      if (documents.revocations) apply('revocations', documents.revocations)
      if (documents.keys) apply('keys', documents.keys)
      if (documents.endpoints) apply('endpoints', documents.endpoints)
      if (!documents.config) return false
      const applied = apply('config', documents.config)
      if (!applied.ok) log.warn('the last good configuration does not compile any more', { issues: applied.issues })
      return applied.ok
    },
  }
}
