import { resolve } from 'node:path'
import { build } from 'esbuild'

const APPS = resolve(import.meta.dirname, '../apps')
const made = new Map<string, Promise<string>>()

/** A program of e2e/apps as one text for `node --input-type=module --eval`, with all that it imports. */
export function scriptOf(app: 'say' | 'call' | 'resolve' | 'echo' | 'load' | 'certificate' | 'flips'): Promise<string> {
  const known = made.get(app)
  if (known !== undefined) return known
  const making = build({
    entryPoints: [resolve(APPS, `${app}.ts`)],
    bundle: true,
    write: false,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    minify: true,
  }).then(({ outputFiles }) => outputFiles[0]?.text ?? '')
  made.set(app, making)
  return making
}
