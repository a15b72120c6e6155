import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { PORTS, SELF_ADDRESS, SIDECAR_UID } from '../../../contract/pod.ts'
import { captureRuleset } from '../../firewall/ruleset.ts'
import type { CapturePlace } from '../capture.ts'
import type { Orders } from './plane.ts'

/** A process in a network namespace. */
export interface Agent {
  tell<Name extends keyof Orders>(name: Name, order: Orders[Name]['order']): Promise<Orders[Name]['answer']>
}

/** A machine with addresses of both families on the network of the test. */
export interface Machine {
  readonly ips: readonly [ipv4: string, ipv6: string]
  agent(uid: number): Agent
}

/** A machine whose traffic is captured: an application, and a sidecar that does not run yet. */
export interface Pod extends Machine {
  readonly app: Agent
  readonly sidecar: Agent
  readonly capture: CapturePlace
}

export interface TestNetwork {
  machine(): Machine
  pod(): Pod
  /** Ends the agents and removes the namespaces. */
  close(): void
}

const APP_UID = 1_000

/** Network namespaces on one switch, each with an address of both families. */
export function createTestNetwork(): TestNetwork {
  const suffix = randomBytes(3).toString('hex')
  const ip = (...args: readonly string[]) => execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] })
  const namespaces: string[] = []
  const children: ChildProcess[] = []
  const add = (kind: string): string => {
    const name = `hauberk-${kind}-${suffix}-${namespaces.length}`
    ip('netns', 'add', name)
    namespaces.push(name)
    ip('-n', name, 'link', 'set', 'lo', 'up')
    return name
  }
  const exchange = add('net')
  ip('-n', exchange, 'link', 'add', 'br0', 'type', 'bridge')
  ip('-n', exchange, 'link', 'set', 'br0', 'up')
  let count = 0

  const plug = (kind: string): { readonly namespace: string; readonly ips: readonly [string, string] } => {
    const namespace = add(kind)
    count += 1
    const ips = [`198.18.66.${count}`, `fd00:66::${count}`] as const
    const port = `port${count}`
    ip('-n', namespace, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', port)
    ip('-n', namespace, 'link', 'set', port, 'netns', exchange)
    ip('-n', exchange, 'link', 'set', port, 'master', 'br0')
    ip('-n', exchange, 'link', 'set', port, 'up')
    ip('-n', namespace, 'addr', 'add', `${ips[0]}/24`, 'dev', 'eth0')
    ip('-n', namespace, '-6', 'addr', 'add', `${ips[1]}/64`, 'dev', 'eth0', 'nodad')
    ip('-n', namespace, 'link', 'set', 'eth0', 'up')
    // Everything is on the wire: what is not captured finds nobody, and is told so at once.
    ip('-n', namespace, 'route', 'add', 'default', 'dev', 'eth0')
    ip('-n', namespace, '-6', 'route', 'add', 'default', 'dev', 'eth0')
    return { namespace, ips }
  }

  const agentIn = (namespace: string, uid: number): Agent => {
    const script = join(import.meta.dirname, 'agent.ts')
    const child = spawn('ip', ['netns', 'exec', namespace, process.execPath, script, String(uid)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    children.push(child)
    const waiting = new Map<number, (reply: { answer?: unknown; error?: string }) => void>()
    let id = 0
    let isOver = false
    child.stdin.on('error', () => {})
    child.once('exit', (code) => {
      isOver = true
      for (const reply of waiting.values()) reply({ error: `the agent ended with ${code}` })
    })
    createInterface({ input: child.stdout }).on('line', (line) => {
      const reply = JSON.parse(line) as { readonly id: number; readonly answer?: unknown; readonly error?: string }
      waiting.get(reply.id)?.(reply)
      waiting.delete(reply.id)
    })
    return {
      tell(name, order) {
        return new Promise((resolve, reject) => {
          if (isOver) return reject(new Error('the agent has ended'))
          id += 1
          waiting.set(id, ({ answer, error }) => {
            if (error === undefined) resolve(answer as never)
            else reject(new Error(error))
          })
          child.stdin.write(`${JSON.stringify({ id, name, order })}\n`)
        })
      },
    }
  }

  return {
    machine() {
      const { namespace, ips } = plug('out')
      return { ips, agent: (uid) => agentIn(namespace, uid) }
    },
    pod() {
      const { namespace, ips } = plug('pod')
      const rules = captureRuleset({ inboundPorts: [], outboundPorts: [], outboundCidrs: [] })
      execFileSync('ip', ['netns', 'exec', namespace, 'nft', '-f', '-'], { input: rules })
      return {
        ips,
        agent: (uid) => agentIn(namespace, uid),
        app: agentIn(namespace, APP_UID),
        sidecar: agentIn(namespace, SIDECAR_UID),
        capture: {
          podIps: ips,
          inbound: ['0.0.0.0', '::'].map((host) => ({ host, port: PORTS.inbound })),
          outbound: ['127.0.0.1', '::1'].map((host) => ({ host, port: PORTS.outbound })),
          self: SELF_ADDRESS,
        },
      }
    },
    close() {
      for (const child of children) child.kill()
      for (const name of namespaces) ip('netns', 'del', name)
    },
  }
}
