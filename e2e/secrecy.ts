import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runHauberk } from '../cli/testing/run-hauberk.ts'
import { askAdmin } from './local/admin.ts'
import type { LocalWorld } from './local/local-world.ts'
import { keepStateSecrets } from './local/state-secrets.ts'

/** A secret that was found where it must not be. */
export interface Leak {
  readonly secret: string
  readonly output: string
}

/**
 * Everything that a local mesh says about itself: logs of it and of its apps, decisions, metrics, status, dumps of config,
 * endpoints and identities, pods, what the commands print that ask it, and an explanation of every refusal that it still
 * remembers. Text by where it came from.
 */
export async function outputsOf({ state, decisions }: LocalWorld): Promise<ReadonlyMap<string, string>> {
  const outputs = new Map<string, string>()
  const add = (name: string, text: string) => outputs.set(name, text)
  for (const directory of ['logs', 'run/pods']) {
    for (const name of await readdir(join(state.directory, directory))) {
      add(`${directory}/${name}`, await readFile(join(state.directory, directory, name), 'utf8'))
    }
  }
  const { statusFile, admin } = state.operator
  if (statusFile !== undefined) add('status file', await readFile(statusFile, 'utf8'))
  for (const path of ['/status', '/metrics', '/readyz']) add(`operator ${path}`, await askAdmin(admin, path))
  for (const [workload, sidecar] of state.sidecars) {
    for (const path of ['/config', '/endpoints', '/identity', '/metrics', '/readyz']) {
      add(`${workload} ${path}`, await askAdmin(sidecar.admin, path))
    }
    const refused = decisions.all(0, (one) => one.workload === workload && one.denial !== undefined)
    for (const { id } of refused.slice(-200)) {
      const path = `/decision?id=${encodeURIComponent(id)}`
      const text = await askAdmin(sidecar.admin, path).catch(() => '')
      if (text !== '') add(`${workload} ${path}`, text)
    }
  }
  for (const args of [['status', '-o', 'json'], ['status'], ['certs', '-o', 'json']]) {
    const { stdout, stderr } = await runHauberk([...args, '--state', state.directory], { cwd: state.directory })
    add(`hauberk ${args.join(' ')}`, stdout + stderr)
  }
  return outputs
}

/** Looks for every secret of a run in everything it said, byte by byte. */
export async function findLeaks(world: LocalWorld, outputs: ReadonlyMap<string, string>): Promise<readonly Leak[]> {
  await keepStateSecrets(world.state, world.vault)
  const needles = world.vault.needles()
  return [...outputs].flatMap(([output, text]) =>
    [...needles].flatMap(([needle, secret]) => (text.includes(needle) ? [{ secret, output }] : [])),
  )
}
