import type { JsonSchema } from '../../model/section.ts'
import { re2Fault } from './re2-fault.ts'

const TYPES = ['object', 'array', 'string', 'integer', 'number', 'boolean']

/**
 * Where a schema breaks the conventions of our CRDs: structural (a type on every node, nothing that Kubernetes forbids),
 * bounded (strings and lists have a maximum), and a description on every field that starts with the field's name.
 */
export function schemaFaults(name: string, schema: JsonSchema, path = name, described = true): readonly string[] {
  const faults: string[] = []
  const { type, description, properties, items } = schema as {
    type?: string
    description?: string
    properties?: Readonly<Record<string, JsonSchema>>
    items?: JsonSchema
  }
  if (type === undefined || !TYPES.includes(type)) faults.push(`${path} has no type`)
  if (described && description === undefined) faults.push(`${path} has no description`)
  if (described && description !== undefined && !description.startsWith(`${name} `)) {
    faults.push(`${path}: the description starts with another word than ${name}`)
  }
  for (const keyword of ['additionalProperties', '$ref', 'oneOf', 'const', 'definitions', 'uniqueItems']) {
    if (Object.hasOwn(schema, keyword)) faults.push(`${path} uses ${keyword}`)
  }
  if (type === 'string' && schema['enum'] === undefined && schema['maxLength'] === undefined) {
    faults.push(`${path} has no maxLength`)
  }
  const { pattern } = schema as { pattern?: string }
  const fault = pattern === undefined ? undefined : re2Fault(pattern)
  if (fault !== undefined) faults.push(`${path} has a pattern that ${fault}`)
  if (type === 'array') {
    if (schema['maxItems'] === undefined) faults.push(`${path} has no maxItems`)
    if (items === undefined) faults.push(`${path} has no items`)
    else faults.push(...schemaFaults(name, items, `${path}[]`, false))
  }
  if (type === 'object' && properties === undefined) faults.push(`${path} has no properties`)
  for (const required of (schema['required'] ?? []) as readonly string[]) {
    if (!Object.hasOwn(properties ?? {}, required)) faults.push(`${path} requires ${required}, which it does not have`)
  }
  for (const key of (schema['x-kubernetes-list-map-keys'] ?? []) as readonly string[]) {
    const required = (items?.['required'] ?? []) as readonly string[]
    if (!required.includes(key)) faults.push(`${path} goes by ${key}, which its items may lack`)
  }
  for (const [property, inner] of Object.entries(properties ?? {})) {
    faults.push(...schemaFaults(property, inner, `${path}.${property}`))
  }
  return faults
}
