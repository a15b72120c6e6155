// Rotates the keys of a key set file without losing what was made with the old one:
//
//   node apps/service/rotate-keys.ts publish FILE        adds a key, which is not used yet
//   node apps/service/rotate-keys.ts activate FILE KID   uses it from now on
//   node apps/service/rotate-keys.ts retire FILE         drops all keys but the active one
//
// Leave the longest cache time of a reader between publish and activate, and the longest life of what was signed
// between activate and retire. Prints the key set's names, never a key.
import { readFile, realpath, rename, writeFile } from 'node:fs/promises'
import { activateKey, publishKey, retireKeys } from './key-rotation.ts'
import { parseKeySet } from './key-set.ts'

const [verb, file, kid] = process.argv.slice(2)
if (!file || !['publish', 'activate', 'retire'].includes(verb ?? '') || (verb === 'activate') !== (kid !== undefined)) {
  console.error('usage: rotate-keys.ts publish FILE | activate FILE KID | retire FILE')
  process.exit(2)
}

const path = await realpath(file)
const before = parseKeySet(await readFile(path, 'utf8'))
const after = verb === 'publish' ? await publishKey(before) : kid ? activateKey(before, kid) : retireKeys(before)
await writeFile(`${path}.new`, JSON.stringify(after), { mode: 0o600 })
await rename(`${path}.new`, path)
for (const key of after.keys) console.log(key.kid, key.kid === after.active ? 'active' : 'published')
