import { type Check, defineFilter, type FilterDeps } from '../../model/filter.ts'
import type { Client, Facts, RequestView } from '../../model/request.ts'
import { fail, issue, ok, type Result } from '../../model/result.ts'
import { CONTINUE, type Deny, type HeaderPair } from '../../model/verdict.ts'
import { compileExemptions } from '../exemptions/compile.ts'
import { findToken, SEVERAL, tokenPlaceOf } from '../jwt/token-location.ts'
import { readWire } from '../read-wire.ts'
import { type ApiKey, ApiKeyConfig } from './config.ts'
import { API_KEY_DENIALS, API_KEY_EXPIRED, API_KEY_INVALID, API_KEY_MISSING, TWO_API_KEYS } from './denials.ts'
import { explainApiKey } from './explain.ts'
import { MAX_KEY_LENGTH } from './key-entry.ts'

/**
 * Asks which program or partner calls, by a key that was given to it; tells the checks after it who that is, and the
 * application only what policy says. No key goes any further than here.
 */
export const apiKey = defineFilter<ApiKeyConfig>({
  name: 'api-key',
  denials: API_KEY_DENIALS,
  repeatable: true,
  tcp: false,
  since: () => 3,
  knowsClient: true,
  decode: (wire) => readWire(ApiKeyConfig, wire),
  compile(config, { clock, crypto }) {
    const exemptions = compileExemptions(config.exempt, config.exemptWithin)
    const find = compileKeys(config.keys, crypto)
    if (!exemptions.ok || !find.ok) {
      return fail(...(exemptions.ok ? [] : exemptions.issues), ...(find.ok ? [] : find.issues))
    }
    const places = config.locations.map(tokenPlaceOf)
    const deny = refusalsFor(config)
    const { clientHeader } = config

    const pass = (request: RequestView, facts: Facts, client: Client | undefined) => {
      // What nobody verified is not passed on as if somebody had, and what was is nobody else's to use again.
      for (const place of places) place.strip(request, facts)
      if (clientHeader !== undefined) facts.removeRequestHeaders = [...(facts.removeRequestHeaders ?? []), clientHeader]
      if (client === undefined) return CONTINUE
      facts.client = client
      if (clientHeader !== undefined) {
        facts.setRequestHeaders = [...(facts.setRequestHeaders ?? []), [clientHeader, client.id]]
      }
      return CONTINUE
    }

    const check: Check = (request, facts) => {
      if (exemptions.value.admits(request)) {
        facts.exempt = true
        return pass(request, facts, undefined)
      }
      const found = findToken(places, request)
      if (found === undefined) return config.required ? deny.missing : pass(request, facts, undefined)
      if (found === SEVERAL) return deny.several
      const key = find.value(found.text)
      if (key === undefined) return deny.invalid
      const { client, expiresAtMs } = key
      if (expiresAtMs !== undefined && clock.now() >= expiresAtMs) return deny.expired(client.id, expiresAtMs)
      return pass(request, facts, client)
    }
    return ok(check)
  },
  explain: explainApiKey,
})

interface KnownKey {
  readonly client: Client
  readonly sha256: string
  readonly expiresAtMs: number | undefined
}

/**
 * Finds a key by its hash. How long that takes tells at most of the hash of a guess, which nobody can choose; the hashes
 * themselves are compared in a time that depends on their length alone.
 */
function compileKeys(
  keys: readonly ApiKey[],
  { sha256 }: Pick<FilterDeps['crypto'], 'sha256'>,
): Result<(text: string) => KnownKey | undefined> {
  const clients = new Map<string, Client>()
  const known = new Map<string, KnownKey>()
  for (const [i, { client: id, sha256: hash, expiresAtMs }] of keys.entries()) {
    const before = known.get(hash)
    if (before !== undefined) {
      return fail(issue('duplicate-api-key', `keys[${i}]`, `is the key of ${before.client.id} again`))
    }
    const client = clients.get(id) ?? Object.freeze({ id })
    clients.set(id, client)
    known.set(hash, { client, sha256: hash, expiresAtMs })
  }
  return ok((text) => {
    if (text === '' || text.length > MAX_KEY_LENGTH) return undefined
    const hash = sha256(text)
    const candidate = known.get(hash)
    return candidate !== undefined && isSameHash(candidate.sha256, hash) ? candidate : undefined
  })
}

function isSameHash(left: string, right: string): boolean {
  let difference = left.length ^ right.length
  for (let i = 0; i < left.length; i++) difference |= left.charCodeAt(i) ^ right.charCodeAt(i)
  return difference === 0
}

/** RFC 9110, 15.5.2: every 401 says how to authenticate. No scheme is registered for keys. */
function refusalsFor({ locations }: ApiKeyConfig) {
  const scheme = locations.find((location) => location.kind === 'header' && location.scheme !== undefined)
  const name = scheme?.kind === 'header' && scheme.scheme !== undefined ? scheme.scheme : 'ApiKey'
  const headers: readonly HeaderPair[] = [['www-authenticate', name]]
  const missing: Deny = { kind: 'deny', denial: API_KEY_MISSING, headers }
  const invalid: Deny = { kind: 'deny', denial: API_KEY_INVALID, headers, detail: 'no key that the policy knows' }
  const several: Deny = { kind: 'deny', denial: TWO_API_KEYS }
  return {
    missing,
    invalid,
    several,
    expired(client: string, expiresAtMs: number): Deny {
      const detail = `a key of ${client} expired at ${new Date(expiresAtMs).toISOString()}`
      return { kind: 'deny', denial: API_KEY_EXPIRED, headers, rule: client, detail }
    },
  }
}
