import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** A process in one of the namespaces. */
export interface Agent {
  /** Listens, and says its port to whoever connects. */
  listen(port: number, host: string): Promise<void>
  /** What the one who answered said, or the code of the error. */
  dial(host: string, port: number): Promise<string>
}

/** Two network namespaces with a cable between them: a pod, and somebody on its network. */
export interface Network {
  readonly podIps: readonly [string, string]
  readonly outsideIps: readonly [string, string]
  /** More addresses of the one outside. */
  readonly excludedIps: readonly [string, string]
  agent(where: 'pod' | 'outside', uid: number): Agent
  /** Runs a program in the pod, with `input`; what it prints and its exit code. */
  runInPod(command: readonly string[], input?: string): { readonly output: string; readonly code: number }
  /** Ends the agents and removes the namespaces. */
  close(): void
}

/** Why there can be no network namespaces here; undefined when there can. */
export function noNetwork(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'needs Linux, and to be root'
  const name = `hauberk-${randomBytes(4).toString('hex')}`
  try {
    execFileSync('nft', ['--version'], { stdio: 'ignore' })
    execFileSync('ip', ['netns', 'add', name], { stdio: 'ignore' })
    execFileSync('ip', ['netns', 'del', name], { stdio: 'ignore' })
    return undefined
  } catch {
    return 'needs nft and ip, and the right to make network namespaces'
  }
}

export function createNetwork(): Network {
  const suffix = randomBytes(3).toString('hex')
  const names = { pod: `hauberk-pod-${suffix}`, outside: `hauberk-out-${suffix}` }
  const podIps = ['198.18.77.2', 'fd00:77::2'] as const
  const outsideIps = ['198.18.77.1', 'fd00:77::1'] as const
  const ip = (...args: readonly string[]) => execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] })
  const nobodysIps = ['192.0.2.1', '2001:db8::1'] as const
  const excludedIps = ['198.18.77.9', 'fd00:77::9'] as const
  const agents: (() => void)[] = []
  for (const name of Object.values(names)) ip('netns', 'add', name)
  ip('-n', names.pod, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth1')
  ip('-n', names.pod, 'link', 'set', 'eth1', 'netns', names.outside)
  const ends = [
    ['pod', 'eth0', podIps],
    ['outside', 'eth1', outsideIps],
    ['outside', 'eth1', excludedIps],
    // So that a call there is refused at once where it is not captured.
    ['outside', 'eth1', nobodysIps],
  ] as const
  for (const [where, device, [v4, v6]] of ends) {
    const namespace = names[where]
    ip('-n', namespace, 'addr', 'add', `${v4}/24`, 'dev', device)
    ip('-n', namespace, '-6', 'addr', 'add', `${v6}/64`, 'dev', device, 'nodad')
    for (const link of ['lo', device]) ip('-n', namespace, 'link', 'set', link, 'up')
  }
  ip('-n', names.pod, 'route', 'add', 'default', 'via', outsideIps[0])
  ip('-n', names.pod, '-6', 'route', 'add', 'default', 'via', outsideIps[1])

  return {
    podIps,
    outsideIps,
    excludedIps,
    agent(where, uid) {
      const script = join(import.meta.dirname, 'agent.ts')
      const child = spawn('ip', ['netns', 'exec', names[where], process.execPath, script, String(uid)], {
        stdio: ['pipe', 'pipe', 'inherit'],
      })
      agents.push(() => child.kill())
      const waiting = new Map<number, (text: string) => void>()
      child.stdin.on('error', () => {})
      child.once('exit', (code) => {
        for (const answer of waiting.values()) answer(`the agent ended with ${code}`)
      })
      createInterface({ input: child.stdout }).on('line', (line) => {
        const { id, text } = JSON.parse(line) as { readonly id: number; readonly text: string }
        waiting.get(id)?.(text)
      })
      let id = 0
      const order = (what: object): Promise<string> =>
        new Promise((resolve) => {
          id += 1
          waiting.set(id, resolve)
          child.stdin.write(`${JSON.stringify({ id, ...what })}\n`)
        })
      return {
        async listen(port, host) {
          const said = await order({ do: 'listen', host, port })
          if (said !== 'listening') throw new Error(said)
        },
        dial: (host, port) => order({ do: 'dial', host, port }),
      }
    },
    runInPod([command = '', ...args], input = '') {
      try {
        const output = execFileSync('ip', ['netns', 'exec', names.pod, command, ...args], {
          input,
          encoding: 'utf8',
          stdio: 'pipe',
        })
        return { output, code: 0 }
      } catch (error) {
        const { stdout, stderr, status } = error as { stdout: string; stderr: string; status: number | null }
        return { output: `${stdout}${stderr}`, code: status ?? -1 }
      }
    },
    close() {
      for (const end of agents) end()
      for (const name of Object.values(names)) ip('netns', 'del', name)
    },
  }
}
