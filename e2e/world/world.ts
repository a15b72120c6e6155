import type { Decision } from '../../cli/dev/decision.ts'
import type { Answer } from './answer.ts'
import type { DecisionBook } from './decisions.ts'
import type { Gateway } from './gateway.ts'
import type { Load } from './load.ts'
import type { Login } from './login.ts'
import type { Sample } from './metrics.ts'
import type { Vault } from './vault.ts'
import type { Address, Heard, ShownCertificate } from './wire.ts'

/** The people who can log in. */
export type Person = 'alice' | 'bob' | 'carol'

/**
 * A mesh that runs the shop, as the scenarios see it. They do not know where it runs: on this machine or on a cluster.
 * A workload is named `namespace/name`.
 */
export interface World {
  /** From outside. */
  readonly gateway: Gateway
  readonly decisions: DecisionBook
  readonly vault: Vault
  /** Milliseconds; undefined: the mesh's own, too long to wait for a renewal. */
  readonly leafLifetimeMs: number | undefined
  /** Milliseconds that the load has to have run before the certificates are judged. */
  readonly soakMs: number
  /** How many times longer than on a laptop things may take here. */
  readonly patience: number

  secret(namespace: string, name: string, key: string): Promise<string>
  /** A login a person has already; a new one when that is about to end. */
  login(person: Person): Promise<Login>
  /** A new token of the warehouse. */
  machineToken(scope: string): Promise<string>

  /** Every workload with a sidecar, and the gateway. */
  workloads(): readonly string[]
  /** Somebody of the same network who is not of the mesh. */
  readonly neighbour: Neighbour
  /** In place of a workload: what its app could do. */
  inside(workload: string): Inside
  /** Where an app finds its sidecar's ways out, if they are ports of this machine; undefined where calls are captured. */
  doorsOf(workload: string): Doors | undefined
  /** A destination that no egress list names, and the denial of whoever calls it. */
  readonly outside: { readonly url: string; readonly denial: string }
  /** Signed by the mesh's own CA, and sound but for what is asked. */
  certificate(request: CertificateRequest): Promise<ShownCertificate>

  metrics(workload: string): Promise<readonly Sample[]>
  /** What a sidecar says of a decision that it made lately. */
  explain(decision: Decision): Promise<Explained>
  /** The policy that a rule of a workload's config came from: `namespace/name@generation`. */
  originOf(workload: string, rule: string): Promise<string>
  /** How many keys of an issuer the mesh knows. */
  issuerKeys(issuer: string): Promise<number>

  readonly manifests: Manifests
  readonly signingKeys: SigningKeys
  readonly processes: Processes
  /** The load that runs behind everything, started when it is first asked for. */
  load(): Promise<Load>
}

/** Dials the very address of a workload's pod, around every Service and proxy. */
export interface Neighbour {
  /** Sends bytes without TLS and listens until the other side closes. */
  sayInPlain(workload: string, containerPort: number, bytes: string): Promise<Heard>
  /** Speaks mutual TLS as somebody who holds this certificate, or none; who answers is not asked. */
  sayWithCertificate(
    workload: string,
    containerPort: number,
    shown: ShownCertificate | undefined,
    bytes: string,
  ): Promise<Heard>
}

/** What an app of a workload may do: call others as it always does, by its environment. */
export interface Inside {
  /** Plain HTTP to a Service's name. Status 0: there was no answer at all. */
  ask(request: InsideAsk): Promise<Answer>
  /**
   * A TCP connection to a Service's name and port; bytes are sent once it is there. Resolves when the other side has closed
   * it, or after so many milliseconds. Default: 5,000.
   */
  dial(host: string, port: number, bytes: string, patienceMs?: number): Promise<Heard>
}

/** Ports that everybody on this machine can connect to, and that are for one workload. */
export interface Doors {
  readonly proxy: Address
  /** For Services of opaque TCP, by `namespace/service:port`. */
  readonly tcp: ReadonlyMap<string, Address>
}

export interface InsideAsk {
  readonly method?: string
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Readonly<Record<string, unknown>>
}

export interface CertificateRequest {
  readonly uris: readonly string[]
  /** Default: a minute ago. */
  readonly notBeforeMs?: number
  /** Default: in an hour. */
  readonly notAfterMs?: number
}

export interface Explained {
  readonly outcome: string
  readonly denial?: string
  readonly origins?: readonly string[]
  /** The smallest change that would turn it. */
  readonly change?: string
}

/** What people write and save: copies, never the repository's own files. */
export interface Manifests {
  /** What a refusal points at: the line of the file, or the path of the field. */
  readonly mistakesAreAt: 'line' | 'path'
  /** Makes or replaces `NAME.yaml`. Returns when it is written, whatever the mesh makes of it. */
  save(name: string, yaml: string): Promise<void>
  /** As if it had never been saved. */
  remove(name: string): Promise<void>
  /** Why what was saved last is not taken, with file and line; waits for it. */
  refusal(name: string): Promise<string>
  /** Resolves when nothing is held against it any more. */
  isTaken(name: string): Promise<void>
}

/** The keys of the authorization server, rotated by hand as its README says. */
export interface SigningKeys {
  /** Adds a key that is not used yet. Returns its `kid`. */
  publish(): Promise<string>
  activate(kid: string): Promise<void>
}

/** The mesh's own processes. Killed is `kill -9`; it resolves when the process is gone. */
export interface Processes {
  /** On a cluster, nobody takes its place before it is called back. */
  killOperator(): Promise<void>
  /** Resolves when another operator serves; at once, when one does. */
  operatorIsBack(): Promise<void>
  killSidecar(workload: string): Promise<void>
}
