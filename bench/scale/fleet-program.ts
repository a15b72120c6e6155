/** Some simulated sidecars in a process. Started by `main.ts`. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describeIssue } from '../../model/result.ts'
import { parseSpiffeId, parseTrustDomain, type SpiffeId } from '../../model/spiffe-id.ts'
import { pemsOf } from '../../model/x509/bundle.ts'
import { type Authority, openAuthority } from '../../operator/identity/authority.ts'
import { createFileCaStore } from '../../operator/identity/ca-store.ts'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { createIdentity, type Identity } from '../../sidecar/identity/identity.ts'
import { makePrivateKey, pemOfKey, publicKeyOf } from '../../sidecar/identity/keypair.ts'
import type { FleetAnswer, FleetAsk, FleetSettings } from './fleet-messages.ts'
import { createSharedDecode } from './shared-decode.ts'
import { createSimulatedSidecar, type SimulatedSidecar } from './simulated-sidecar.ts'
import { TRUST_DOMAIN } from './world.ts'

const answer = (message: FleetAnswer) => void process.send?.(message)

let sidecars: readonly SimulatedSidecar[] = []
let wake = () => {}

async function prepare({ pods, operator, stateDirectory }: FleetSettings): Promise<void> {
  const trustDomain = parseTrustDomain(TRUST_DOMAIN)
  if (!trustDomain.ok) throw new Error(`${TRUST_DOMAIN} is no trust domain`)
  const authority = await openAuthority({
    store: createFileCaStore(join(stateDirectory, 'ca')),
    trustDomain: trustDomain.value,
    clock: systemClock,
    log: silentLog,
  })
  const address = { host: '127.0.0.1', port: operator.port, spiffeId: spiffeId(operator.spiffeId) }
  const decode = createSharedDecode()
  const made: SimulatedSidecar[] = []
  for (const pod of pods) {
    const identity = await mint(authority, spiffeId(pod.spiffeId))
    const onChange = () => wake()
    made.push(
      createSimulatedSidecar({
        pod,
        identity,
        operator: address,
        onChange,
        decode,
        clock: systemClock,
        log: silentLog,
      }),
    )
  }
  sidecars = made
}

/** As the operator would have issued it: the same CA, a key of its own, and 24 hours. */
async function mint(authority: Authority, id: SpiffeId): Promise<Identity> {
  const key = await makePrivateKey()
  const { chain } = await authority.issue({ profile: 'svid', publicKey: publicKeyOf(key), spiffeId: id })
  const parts = {
    privateKey: pemOfKey(key),
    chain,
    trustBundle: pemsOf(authority.trustBundle()),
    receivedAtMs: Date.now(),
  }
  const identity = createIdentity(parts, id, Date.now())
  if (!identity.ok) throw new Error(identity.issues.map(describeIssue).join('; '))
  return identity.value
}

async function connect(atOnce: number): Promise<void> {
  for (let from = 0; from < sidecars.length; from += atOnce) {
    const some = sidecars.slice(from, from + atOnce)
    for (const sidecar of some) sidecar.connect()
    while (!some.every(({ isConnected, isEquipped }) => isConnected && isEquipped)) await changed()
  }
}

function changed(): Promise<void> {
  return new Promise((resolve) => {
    wake = resolve
  })
}

function spiffeId(text: string): SpiffeId {
  const id = parseSpiffeId(text)
  if (!id.ok) throw new Error(`${text} is no SPIFFE ID`)
  return id.value
}

async function handle(ask: FleetAsk): Promise<void> {
  switch (ask.type) {
    case 'prepare':
      await prepare(ask.settings)
      return answer({ type: 'prepared' })
    case 'connect':
      await connect(ask.atOnce)
      return answer({ type: 'connected' })
    case 'mark':
      for (const sidecar of sidecars) sidecar.mark()
      return answer({ type: 'marked' })
    case 'progress': {
      const { user, system } = process.cpuUsage()
      const receipts = sidecars.map((sidecar) => sidecar.receipt())
      return answer({
        type: 'progress',
        progress: {
          connected: sidecars.filter(({ isConnected }) => isConnected).length,
          current: receipts.filter(({ acknowledgedAtMs }) => acknowledgedAtMs !== undefined).length,
          documents: receipts.reduce((sum, { documents }) => sum + documents, 0),
          refused: sidecars.reduce((sum, { refused }) => sum + refused, 0),
          cpuUs: user + system,
        },
      })
    }
    case 'receipts':
      return answer({ type: 'receipts', receipts: sidecars.map((sidecar) => sidecar.receipt()) })
    case 'renew': {
      await sleep(Math.max(0, ask.atMs - Date.now()))
      const renewals = await Promise.all(sidecars.slice(0, ask.count).map((sidecar) => sidecar.renew(ask.leftMs)))
      return answer({ type: 'renewed', renewals })
    }
  }
}

process.on('message', (ask) => {
  handle(ask as FleetAsk).catch((error: unknown) => {
    process.stderr.write(`fleet: ${(error as Error).stack}\n`)
    process.exit(1)
  })
})
process.on('disconnect', () => process.exit())
