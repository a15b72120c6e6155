import { join } from 'node:path'
import { parseSpiffeId, type SpiffeId, type TrustDomain, trustDomainOf } from '../../model/spiffe-id.ts'
import { pemsOf } from '../../model/x509/bundle.ts'
import { openAuthority } from '../../operator/identity/authority.ts'
import { createFileCaStore } from '../../operator/identity/ca-store.ts'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { makePrivateKey, pemOfKey, publicKeyOf } from '../../sidecar/identity/keypair.ts'

/** A private key and who it is, as the mesh's own authority says. P-256 throughout: leaf, issuing CA, root. */
export interface KeyAndChain {
  /** PKCS#8, PEM. */
  readonly privateKey: string
  /** PEM: the leaf, then the issuing CA. */
  readonly chain: string
}

export interface Certificates {
  /** PEM. */
  readonly root: string
  /** `bench/app`: what every proxy shows. */
  readonly server: KeyAndChain
  /** `bench/client`: the generator's. */
  readonly client: KeyAndChain
  /** `bench/stranger`: of the mesh, and allowed nothing. */
  readonly stranger: KeyAndChain
  /** That of the gateway `bench/edge`. */
  readonly gateway: KeyAndChain
  /** `bench/client` too, says another authority. */
  readonly foreign: KeyAndChain
}

export const APP_ID = idOf('app')
export const CLIENT_ID = idOf('client')
export const GATEWAY_ID = idOf('gateway-bench-edge', 'hauberk-system')

/** Good for a day: nothing is renewed while it is measured. */
export async function makeCertificates(directory: string): Promise<Certificates> {
  const trustDomain = trustDomainOf(APP_ID)
  const mesh = await openMeshAuthority(join(directory, 'ca'), trustDomain)
  const other = await openMeshAuthority(join(directory, 'other-ca'), trustDomain)
  return {
    root: pemsOf(mesh.trustBundle()).join(''),
    server: await issueTo('app', mesh),
    client: await issueTo('client', mesh),
    stranger: await issueTo('stranger', mesh),
    gateway: await issueTo('gateway-bench-edge', mesh, 'hauberk-system'),
    foreign: await issueTo('client', other),
  }
}

type Authority = Awaited<ReturnType<typeof openAuthority>>

function openMeshAuthority(directory: string, trustDomain: TrustDomain): Promise<Authority> {
  return openAuthority({ store: createFileCaStore(directory), trustDomain, clock: systemClock, log: silentLog })
}

async function issueTo(name: string, authority: Authority, namespace?: string): Promise<KeyAndChain> {
  const key = await makePrivateKey()
  const { chain } = await authority.issue({
    profile: 'svid',
    publicKey: publicKeyOf(key),
    spiffeId: idOf(name, namespace),
  })
  return { privateKey: pemOfKey(key), chain }
}

function idOf(name: string, namespace = 'bench'): SpiffeId {
  const id = parseSpiffeId(`spiffe://cluster.local/ns/${namespace}/sa/${name}`)
  if (!id.ok) throw new Error(`${name} makes no SPIFFE ID`)
  return id.value
}
