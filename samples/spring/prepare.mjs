// What the sample needs before a mesh can start it: a JDK, and the jar that Maven makes of the sources.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const jar = join(here, 'target', 'wishlist.jar')

/** What is missing, as a sentence; undefined: the jar is there, and newer than its sources. */
export function prepare() {
  const java = spawnSync('java', ['-version'], { encoding: 'utf8' })
  if (java.error) return 'the sample spring wants Java 17 or newer, and there is no `java` on the PATH.'
  const version = Number(/version "(\d+)/.exec(java.stderr)?.[1] ?? 0)
  if (version < 17) return `the sample spring wants Java 17 or newer, and \`java\` is of version ${version}.`
  if (existsSync(jar) && statSync(jar).mtimeMs > newestOf(join(here, 'src'), join(here, 'pom.xml'))) return undefined
  process.stdout.write(' Building samples/spring with Maven. The first time it fetches Spring Boot, some 40 MB.\n')
  const maven = spawnSync('mvn', ['-B', '-q', 'package'], { cwd: here, stdio: ['ignore', 'inherit', 'inherit'] })
  if (maven.error) return 'the sample spring is built by Maven, and there is no `mvn` on the PATH.'
  if (maven.status !== 0) return 'Maven could not build samples/spring; what it says is above.'
  return undefined
}

function newestOf(...paths) {
  return Math.max(
    ...paths.map((path) =>
      statSync(path).isDirectory()
        ? newestOf(...readdirSync(path).map((name) => join(path, name)))
        : statSync(path).mtimeMs,
    ),
  )
}
