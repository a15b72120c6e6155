import { join } from 'node:path'
import * as v from 'valibot'
import { read } from '../../contract/codec.ts'
import { ok, type Result } from '../../model/result.ts'
import type { SpiffeId } from '../../model/spiffe-id.ts'
import { FileError, readFileCapped, writeFileAtomic } from '../../runtime/atomic-file.ts'
import { createIdentity, type Identity } from './identity.ts'

/** Bytes of the file at most. */
const MAX_IDENTITY_FILE_BYTES = 524_288

const Kept = v.strictObject({
  privateKey: v.string(),
  chain: v.string(),
  trustBundle: v.array(v.string()),
  receivedAtMs: v.number(),
  distrustedRoots: v.exactOptional(v.array(v.string())),
})

/**
 * Keeps key and certificate over a restart, so that a killed sidecar comes back without the operator (F12). One file
 * (0600), so the two always belong together. On Kubernetes `directory` is a memory-backed volume.
 */
export function saveIdentity(directory: string, identity: Identity): Promise<void> {
  const { privateKey, chain, trustBundle, receivedAtMs, distrustedRoots } = identity
  const kept = {
    privateKey,
    chain,
    trustBundle,
    receivedAtMs,
    // Left out where there are none: an older version of this program reads the file too.
    ...(distrustedRoots.length > 0 && { distrustedRoots }),
  }
  return writeFileAtomic(fileIn(directory), JSON.stringify(kept), 0o600)
}

/** What was kept, if it is still good for `spiffeId`; undefined when nothing was. */
export async function loadIdentity(
  directory: string,
  spiffeId: SpiffeId,
  nowMs: number,
): Promise<Result<Identity | undefined>> {
  let text: string
  try {
    text = (await readFileCapped(fileIn(directory), MAX_IDENTITY_FILE_BYTES)).toString('utf8')
  } catch (cause) {
    if (cause instanceof FileError && cause.code === 'missing') return ok(undefined)
    throw cause
  }
  const kept = read(Kept, parseJson(text))
  return kept.ok ? createIdentity(kept.value, spiffeId, nowMs) : kept
}

function fileIn(directory: string): string {
  return join(directory, 'identity.json')
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
