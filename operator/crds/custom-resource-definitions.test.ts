import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stringify } from 'yaml'
import type { JsonSchema } from '../../model/section.ts'
import { SECTIONS } from '../../policies/sections.ts'
import { customResourceDefinitions } from './custom-resource-definitions.ts'

interface Crd {
  readonly metadata: { readonly name: string }
  readonly spec: { readonly versions: readonly { readonly schema: { readonly openAPIV3Schema: JsonSchema } }[] }
}

const CRDS = customResourceDefinitions(SECTIONS) as unknown as readonly Crd[]

function walk(schema: JsonSchema, path: string, visit: (schema: JsonSchema, path: string) => void): void {
  visit(schema, path)
  const { properties, items, additionalProperties } = schema as Readonly<Record<string, JsonSchema | undefined>>
  for (const [name, inner] of Object.entries(properties ?? {})) walk(inner as JsonSchema, `${path}.${name}`, visit)
  if (typeof items === 'object') walk(items, `${path}[]`, visit)
  if (typeof additionalProperties === 'object') walk(additionalProperties, `${path}{}`, visit)
}

for (const crd of CRDS) {
  const schema = crd.spec.versions[0]!.schema.openAPIV3Schema

  test(`${crd.metadata.name} is below 256 KB`, () => {
    assert.ok(Buffer.byteLength(stringify(crd)) < 256 * 1024)
  })

  test(`${crd.metadata.name} has a description on every field that begins with its name`, () => {
    const missing: string[] = []
    walk(schema, '', (inner, path) => {
      const name = /\.([^.[\]{}]+)$/.exec(path)?.[1]
      if (name === undefined || path === '.metadata') return
      if (!String(inner['description'] ?? '').startsWith(`${name} `)) missing.push(path)
    })
    assert.deepEqual(missing, [])
  })

  test(`${crd.metadata.name} is structural and bounded`, () => {
    const loose: string[] = []
    walk(schema, '', (inner, path) => {
      if (path.startsWith('.metadata') || path.startsWith('.status')) return
      if (inner['type'] === undefined && inner['x-kubernetes-int-or-string'] !== true) loose.push(`${path}: no type`)
      if (inner['type'] === 'array' && inner['maxItems'] === undefined) loose.push(`${path}: no maxItems`)
      if (inner['type'] === 'array' && inner['items'] === undefined) loose.push(`${path}: no items`)
      const isBoundString = ['maxLength', 'enum', 'format'].some((keyword) => keyword in inner)
      if (inner['type'] === 'string' && !isBoundString && !/^\.(apiVersion|kind)$/.test(path))
        loose.push(`${path}: no maxLength`)
      if (inner['additionalProperties'] !== undefined && inner['properties'] !== undefined) loose.push(`${path}: both`)
    })
    assert.deepEqual(loose, [])
  })

  test(`${crd.metadata.name} has no field that YAML 1.1 reads as a boolean`, () => {
    const names: string[] = []
    walk(schema, '', (_, path) => names.push(/\.([^.[\]{}]+)$/.exec(path)?.[1] ?? ''))
    assert.deepEqual(
      names.filter((name) => /^(yes|no|on|off|true|false)$/i.test(name)),
      [],
    )
  })
}
