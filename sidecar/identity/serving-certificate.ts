import { createHash } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { read } from '../../contract/codec.ts'
import { fail, issue, ok, type Result } from '../../model/result.ts'
import { parseTrustBundle } from '../../model/x509/bundle.ts'
import { EXTENDED_KEY_USAGE, parseCertificates } from '../../model/x509/certificate.ts'
import { FileError, readFileCapped, writeFileAtomic } from '../../runtime/atomic-file.ts'
import { belongsTo, fingerprintOf, type KeyedCertificate, rootOf } from './identity.ts'

/** What a gateway's HTTPS listener shows to the world: DNS names, and no identity in the mesh. */
export interface ServingCertificate extends KeyedCertificate {
  /** The listener's hostname that it was asked for. */
  readonly hostname: string
  /** The fingerprint of the root that vouches for it. */
  readonly root: string
}

const MAX_FILE_BYTES = 65_536

const Kept = v.strictObject({
  hostname: v.string(),
  privateKey: v.string(),
  chain: v.string(),
  receivedAtMs: v.number(),
})

/** Checks that key and chain belong together, are for this hostname and for servers, lead to a root, and have not expired. */
export function createServingCertificate(
  parts: Omit<ServingCertificate, 'notAfterMs' | 'root'>,
  trustBundle: readonly string[],
  nowMs: number,
): Result<ServingCertificate> {
  const bundle = parseTrustBundle(...trustBundle)
  if (!bundle.ok) return bundle
  const chain = parseCertificates(parts.chain)
  if (!chain.ok) return chain
  const leaf = chain.value[0]!
  if (!leaf.subjectAltNames.dnsNames.includes(parts.hostname)) return unusable('is for another host')
  if (leaf.isCa || !leaf.extendedKeyUsage?.includes(EXTENDED_KEY_USAGE.serverAuth))
    return unusable('is not for a server')
  if (!belongsTo(leaf, parts.privateKey)) return unusable('is for another key')
  const root = rootOf(chain.value, bundle.value.roots, nowMs)
  if (root === undefined) return unusable('has expired or leads to no root we trust')
  return ok({ ...parts, notAfterMs: leaf.notAfterMs, root: fingerprintOf(root) })
}

/** Keeps it over a restart, as the identity is: in a file (0600) of a directory (0700, made here if need be). */
export async function saveServingCertificate(directory: string, certificate: ServingCertificate): Promise<void> {
  const { hostname, privateKey, chain, receivedAtMs } = certificate
  const text = JSON.stringify({ hostname, privateKey, chain, receivedAtMs })
  await mkdir(directory, { recursive: true, mode: 0o700 })
  await writeFileAtomic(fileIn(directory, hostname), text, 0o600)
}

/** What was kept for this hostname, if it is still good. */
export async function loadServingCertificate(
  directory: string,
  hostname: string,
  trustBundle: readonly string[],
  nowMs: number,
): Promise<ServingCertificate | undefined> {
  try {
    const text = (await readFileCapped(fileIn(directory, hostname), MAX_FILE_BYTES)).toString('utf8')
    const kept = read(Kept, JSON.parse(text))
    if (!kept.ok || kept.value.hostname !== hostname) return undefined
    const certificate = createServingCertificate(kept.value, trustBundle, nowMs)
    return certificate.ok ? certificate.value : undefined
  } catch (cause) {
    if (cause instanceof SyntaxError || (cause instanceof FileError && cause.code === 'missing')) return undefined
    throw cause
  }
}

/** A hostname may have a `*` in it. */
function fileIn(directory: string, hostname: string): string {
  return join(directory, `serving-${createHash('sha256').update(hostname).digest('hex').slice(0, 16)}.json`)
}

function unusable(what: string) {
  return fail(issue('unusable-certificate', '', what))
}
