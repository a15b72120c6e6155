import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { parse } from 'yaml'
import { decode } from '../../contract/codec.ts'
import { POD_ENV, PodSidecar } from '../../contract/pod.ts'
import type { Issue } from '../../model/result.ts'
import { injectPod } from './inject-pod.ts'
import { type PodObject, readPodObject } from './pod-object.ts'
import { reviewPod } from './review-pod.ts'
import { contextOf, type WorldOfPod } from './testing/context.ts'

/**
 * Pairs of files: a pod with what is around it, and what injection makes of it. An `.out.yaml` names only what its behaviour
 * is about: a member that it does not name may be anything, one that is `null` may not be there, and lists are whole. `told`
 * is what the sidecar is told.
 */
const TESTDATA = new URL('./testdata/', import.meta.url)

interface Input extends WorldOfPod {
  readonly pod: unknown
}

describe('injectPod', () => {
  for (const file of readdirSync(TESTDATA).filter((name) => name.endsWith('.in.yaml'))) {
    it(file.slice(0, -'.in.yaml'.length).replaceAll('-', ' '), () => {
      const { pod, ...world } = parse(readFileSync(new URL(file, TESTDATA), 'utf8')) as Input
      const expected: unknown = parse(readFileSync(new URL(file.replace('.in.', '.out.'), TESTDATA), 'utf8'))
      const read = readPodObject(pod)
      assert(read.ok, JSON.stringify(read))
      const context = contextOf(world)
      const result = injectPod(read.value, context)
      const actual = result.ok
        ? { ...result.value, warnings: result.value.warnings.map(asLine), told: toldBy(result.value.pod) }
        : { issues: result.issues.map(asLine) }
      assert.deepEqual(namedIn(expected, actual), expected)
      if (!result.ok) return
      assert.deepEqual(injectPod(result.value.pod, context), result, 'a second injection changes nothing')
      assert.deepEqual(reviewPod(result.value.pod, context), result.value.warnings, 'its review finds nothing else')
    })
  }
})

function asLine({ code, path, message }: Issue): string {
  return `${code} ${path}: ${message}`
}

/** What both containers are told, which has to be readable by the contract once the kubelet has put names in. */
function toldBy({ spec }: PodObject): unknown {
  const [init, sidecar] = (spec.initContainers ?? []).map(({ env = [] }) =>
    env.find(({ name }) => name === POD_ENV.sidecar),
  )
  if (sidecar?.value === undefined) return undefined
  assert.equal(init?.value, sidecar.value)
  const expanded = sidecar.value.replaceAll('$(POD_NAME)', 'made-up-x7k2p')
  const told = decode(PodSidecar, expanded)
  assert(told.ok, JSON.stringify(told))
  assert(!expanded.includes('$'), 'the kubelet would expand it')
  return told.value
}

function namedIn(expected: unknown, actual: unknown): unknown {
  if (expected === null) return actual === undefined ? null : actual
  if (Array.isArray(expected) && Array.isArray(actual)) {
    return actual.map((item, i) => (i < expected.length ? namedIn(expected[i], item) : item))
  }
  if (typeof expected !== 'object' || typeof actual !== 'object' || actual === null || Array.isArray(actual)) {
    return actual
  }
  return Object.fromEntries(
    Object.entries(expected).map(([name, part]) => [name, namedIn(part, (actual as Record<string, unknown>)[name])]),
  )
}
