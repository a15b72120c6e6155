import { join } from 'node:path'
import { build, type Message } from 'esbuild'
import { isTest } from './import-graph.ts'
import { RULES } from './import-rules.ts'

/** The sources of every folder that has to run in a browser, without their tests. */
export function browserSources(files: Iterable<string>): readonly string[] {
  const folders = Object.keys(RULES).filter((folder) => RULES[folder]?.pure)
  return [...files].filter((file) => !isTest(file) && folders.some((folder) => file.startsWith(`${folder}/`)))
}

/**
 * Bundles `files` (paths from `root`) for a browser, with every package they import, and gives what stood in the way:
 * a `node:` import, above all. Nothing is written.
 */
export async function bundleForBrowser(root: string, files: readonly string[]): Promise<readonly string[]> {
  if (files.length === 0) return []
  try {
    await build({
      stdin: { contents: files.map((file) => `import './${file}'`).join('\n'), resolveDir: root, loader: 'ts' },
      absWorkingDir: root,
      bundle: true,
      platform: 'browser',
      format: 'esm',
      target: 'es2024',
      write: false,
      logLevel: 'silent',
      tsconfig: join(import.meta.dirname, '..', 'tsconfig.json'),
    })
    return []
  } catch (error) {
    const { errors = [] } = error as { readonly errors?: readonly Message[] }
    if (errors.length === 0) throw error
    return errors.map(({ text, location }) => `${location ? `${location.file}:${location.line} ` : ''}${text}`)
  }
}
