import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forbiddenWords } from './words.ts'

test('reminders, paths of one machine, registry hosts and private keys are found, with their lines', () => {
  for (const bad of [
    ['// TO', 'DO: later'].join(''),
    ['FIX', 'ME'].join(''),
    ['"/wo', 'rk/main"'].join(''),
    ['cd /ho', 'me/alice/src'].join(''),
    ['see /ro', 'ot/.ssh'].join(''),
    ['https://registry', '.npmjs.org/express'].join(''),
    ['-----BEGIN PRIVATE', ` KEY-----\\n${'A'.repeat(64)}`].join(''),
  ]) {
    assert.equal(forbiddenWords(`fine\n${bad}\n`).length, 1, bad)
    assert.match(forbiddenWords(`fine\n${bad}\n`)[0] ?? '', /^2 /)
  }
})

test('ordinary text is left alone', () => {
  for (const good of [
    'a workload',
    '/workload/x',
    'https://shop.localhost:8443/home/page',
    '/home/node/app',
    'the root CA',
    'Todos',
  ]) {
    assert.deepEqual(forbiddenWords(good), [])
  }
})
