import { readFileSync } from 'node:fs'

/** The version in package.json, which is above the sources as well as above the bundle. */
export function release(): string {
  const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
  return manifest.version
}
