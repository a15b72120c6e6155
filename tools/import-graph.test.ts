import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { checkImportGraph, readSourceTree } from './import-graph.ts'
import { readImports } from './imports.ts'

const ROOT = join(import.meta.dirname, '..')

const findings = (files: Record<string, string>) =>
  checkImportGraph(new Map(Object.entries(files))).map(({ file, line, message }) => `${file}:${line} ${message}`)

test('every import in this repository goes where the architecture allows', () => {
  const tree = readSourceTree(ROOT)
  assert.ok(tree.size > 20, 'the tree was not found')
  assert.deepEqual(
    checkImportGraph(tree).map(({ file, line, message }) => `${file}:${line} ${message}`),
    [],
  )
})

test('an allowed tree has no findings', () => {
  assert.deepEqual(
    findings({
      'model/verdict.ts': 'export const x = 1',
      'policies/jwt/config.ts': "import * as v from 'valibot'\nimport { x } from '../../model/verdict.ts'",
      'policies/jwt/section.ts': "import './config.ts'",
      'policies/sections.ts': "import './jwt/section.ts'",
      'contract/codec.ts': "import '../policies/jwt/config.ts'",
      'operator/options.ts': 'export const level = process.env.LEVEL',
      'operator/main.ts': "import './options.ts'\nimport '../contract/codec.ts'\nimport '../policies/sections.ts'",
      'sidecar/compile/compile.ts': "import '../../contract/codec.ts'",
      'sidecar/serve/serve.ts': "import '../compile/compile.ts'\nimport { connect } from 'node:net'",
      'cli/main.ts': "import '../operator/main.ts'\nimport '../sidecar/serve/serve.ts'",
    }),
    [],
  )
})

test('operator and sidecar never import each other, not even a type', () => {
  assert.deepEqual(
    findings({
      'operator/main.ts': "import type { A } from '../sidecar/a.ts'",
      'sidecar/a.ts': "export { b } from '../operator/b.ts'\nexport interface A {}",
      'operator/b.ts': 'export const b = 1',
    }),
    ['operator/main.ts:1 operator may not import sidecar', 'sidecar/a.ts:1 sidecar may not import operator'],
  )
})

test('the version of the programs is read in one place', () => {
  const source = "import manifest from '../package.json' with { type: 'json' }"
  assert.deepEqual(findings({ 'runtime/release.ts': source }), [])
  assert.deepEqual(findings({ 'sidecar/release.ts': source }), ['sidecar/release.ts:1 sidecar may not import '])
})

test('model imports nothing of ours, and no package', () => {
  assert.deepEqual(
    findings({
      'model/a.ts': "import '../runtime/b.ts'\nimport * as v from 'valibot'\nconst lazy = import('pino')",
      'runtime/b.ts': '',
    }),
    [
      'model/a.ts:1 model may not import runtime',
      'model/a.ts:2 model may not import the package valibot',
      'model/a.ts:3 model may not import the package pino',
    ],
  )
})

test('a package that is not listed fails, and so does an import that cannot be read', () => {
  assert.deepEqual(
    findings({
      'sidecar/serve/a.ts':
        "import left from 'left-pad/sub'\nimport x from '@scope/name/sub'\nawait import(left)\nrequire(left)",
    }),
    [
      'sidecar/serve/a.ts:1 sidecar/serve may not import the package left-pad',
      'sidecar/serve/a.ts:2 sidecar/serve may not import the package @scope/name',
      'sidecar/serve/a.ts:3 an import of something computed cannot be checked',
      'sidecar/serve/a.ts:4 an import of something computed cannot be checked',
    ],
  )
})

test('what runs in a browser needs nothing of Node, but its tests may', () => {
  assert.deepEqual(
    findings({
      'policies/jwt/filter.ts': "import { hash } from 'node:crypto'\nBuffer.from('')",
      'policies/jwt/filter.test.ts': "import { test } from 'node:test'\nBuffer.from('')",
      'operator/translate/translate.ts': "import 'node:fs'",
      'operator/push/push.ts': "import 'node:fs'",
      'sidecar/compile/compile.ts': 'process.nextTick()',
    }),
    [
      'operator/translate/translate.ts:1 operator/translate runs in a browser too, where there is no node:fs',
      'policies/jwt/filter.ts:1 policies runs in a browser too, where there is no node:crypto',
      'policies/jwt/filter.ts:2 Buffer and process do not exist in a browser',
      'sidecar/compile/compile.ts:1 Buffer and process do not exist in a browser',
    ],
  )
})

test('a pure folder may not reach what surrounds it', () => {
  assert.deepEqual(
    findings({ 'sidecar/compile/compile.ts': "import '../serve/serve.ts'", 'sidecar/serve/serve.ts': '' }),
    ['sidecar/compile/compile.ts:1 sidecar/compile may not import sidecar/serve'],
  )
})

test('the sidecar never reaches a section, however long the way', () => {
  assert.deepEqual(
    findings({
      'sidecar/main.ts': "import '../contract/codec.ts'",
      'contract/codec.ts': "import '../policies/jwt/filter.ts'",
      'policies/jwt/filter.ts': "import './section.ts'",
      'policies/jwt/section.ts': '',
    }),
    [
      "policies/jwt/filter.ts:1 the sidecar reaches the operator's door: " +
        'sidecar/main.ts -> contract/codec.ts -> policies/jwt/filter.ts -> policies/jwt/section.ts',
    ],
  )
})

test('files that load each other in a circle are found; types may name each other', () => {
  assert.deepEqual(
    findings({
      'model/a.ts': "import './b.ts'",
      'model/b.ts': "\nimport { C } from './c.ts'",
      'model/c.ts': "import './a.ts'\nexport const C = 1",
      'model/d.ts': "import type { E } from './e.ts'\nexport type D = E",
      'model/e.ts': "export type { D } from './d.ts'\nexport type E = 1",
    }),
    ['model/a.ts:1 files in a circle: model/a.ts -> model/b.ts -> model/c.ts -> model/a.ts'],
  )
})

test('folders in a circle are found, even when no file is', () => {
  assert.deepEqual(
    findings({
      'sidecar/serve/a.ts': "import '../upstream/b.ts'",
      'sidecar/upstream/b.ts': '',
      'sidecar/upstream/c.ts': "import '../serve/d.ts'",
      'sidecar/serve/d.ts': '',
    }),
    ['sidecar/serve/a.ts:1 folders in a circle: sidecar/serve -> sidecar/upstream -> sidecar/serve'],
  )
})

test('the environment is read in options.ts only, in whatever spelling', () => {
  const file = 'operator/main.ts'
  for (const line of [
    'const a = process.env.A',
    "const a = process['env']['A']",
    'const a = process?.env',
    'const { env } = process',
    "import { env } from 'node:process'",
  ]) {
    assert.deepEqual(findings({ [file]: line }), [`${file}:1 the environment is read in options.ts only`], line)
    assert.deepEqual(findings({ 'operator/options.ts': line }), [], line)
  }
})

test('a file that is not there, a test imported by the product, and a folder without a rule are found', () => {
  assert.deepEqual(
    findings({
      'model/a.ts': "import './gone.ts'\nimport './b.test.ts'",
      'model/b.test.ts': '',
      'helpers/a.ts': '',
      'main.ts': '',
    }),
    [
      'helpers/a.ts:1 no rule names this folder: add it to tools/import-rules.ts',
      'main.ts:1 no rule names this folder: add it to tools/import-rules.ts',
      'model/a.ts:1 there is no model/gone.ts',
      'model/a.ts:2 model/b.test.ts is a test',
    ],
  )
})

test('what e2e is made of may use what tests use, but no test', () => {
  const tree = { 'model/testing/ca.ts': '', 'model/ca.test.ts': '' }
  assert.deepEqual(findings({ ...tree, 'e2e/world/a.ts': "import '../../model/testing/ca.ts'" }), [])
  assert.deepEqual(findings({ ...tree, 'e2e/world/a.ts': "import '../../model/ca.test.ts'" }), [
    'e2e/world/a.ts:1 model/ca.test.ts is a test',
  ])
  assert.deepEqual(findings({ ...tree, 'model/a.kind.ts': "import './testing/ca.ts'" }), [])
  assert.deepEqual(findings({ ...tree, 'model/a.ts': "import './testing/ca.ts'" }), [
    'model/a.ts:1 model/testing/ca.ts is a test',
  ])
})

test('imports are read in every form they take', () => {
  const { imports } = readImports(
    [
      '#!/usr/bin/env node',
      "import a, { b as c } from 'a'",
      "import type { D } from 'b'",
      "import { type E } from 'c'",
      "import * as f from 'd'",
      "import 'e'",
      'export * from "f"',
      "export type { G } from 'g'",
      "export { h } from 'h'",
      "const i = await import('i')",
      "type J = typeof import('j')",
      "const k = require('k')",
      'import {',
      '  l,',
      "} from 'l'",
      "import type from 'm'",
      "import n from 'n' with { type: 'json' }",
    ].join('\n'),
  )
  assert.deepEqual(
    imports.map(({ specifier, typeOnly, line }) => `${specifier}${typeOnly ? ' type' : ''} ${line}`),
    ['a 2', 'b type 3', 'c 4', 'd 5', 'e 6', 'f 7', 'g type 8', 'h 9', 'i 10', 'j 11', 'k 12', 'l 13', 'm 16', 'n 17'],
  )
})

test('what only talks about imports is no import', () => {
  const { imports, environment } = readImports(
    [
      "// import 'a'",
      "/* import 'b'\n process.env */",
      'const c = "import \'c\'"',
      "const d = `import 'd' ${`process.env ${1}`} from 'd'`",
      'const e = /import \'e\'/.test("process.env") / 2 / 3',
      'export const from = 1',
      'export interface F { readonly process: string; import(f: F): void }',
      'class K { import(f: F, g = (1)) { return f } }',
      'const g = import.meta.url',
      'x.require(y)',
      "const h = { import: 1, from: 'h' }",
      'export function i() { return /[/\'"]/g }',
      "const j = `${{ a: '}' }.a}` + 'import'",
    ].join('\n'),
  )
  assert.deepEqual(imports, [])
  assert.deepEqual(environment, [])
})

test('code inside a template is read like any other', () => {
  const { imports } = readImports("const a = `x ${await import('a')} y ${{ b: `${require('b')}` }.b}`")
  assert.deepEqual(
    imports.map(({ specifier }) => specifier),
    ['a', 'b'],
  )
})
