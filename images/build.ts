/**
 * `npm run images`: builds the images of the operator, the sidecar and the shop, and says how big they are.
 *
 *     npm run images                     # hauberk-operator, hauberk-sidecar, hauberk-shop, tagged with the version
 *     npm run images -- --load kind      # and loads them into the nodes of the kind cluster `kind`
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const ROOT = join(import.meta.dirname, '..')
const IMAGES = ['operator', 'sidecar', 'shop']
const USAGE = `usage: npm run images -- [OPTIONS]

  --only NAMES      some of ${IMAGES.join(',')}
  --tag TAG         instead of the version in package.json
  --prefix PREFIX   before the names, with its slash: registry.example/mesh/
  --base IMAGE      the Node image to build on, by digest where the bytes have to be the same
  --epoch SECONDS   since 1970: how files are dated. Default 0
  --load CLUSTER    load them into the nodes of that kind cluster
  --sboms DIR       write the list of what is in each image to DIR/NAME.cdx.json
  --verify          build again without a cache, and compare the layers
  --help            this
`

interface Request {
  readonly names: readonly string[]
  readonly tag: string
  readonly prefix: string
  readonly base: string | undefined
  readonly epoch: string
  readonly load: string | undefined
  readonly sboms: string | undefined
  readonly verify: boolean
}

/** Undefined: the usage is asked for. Throws for what is no request. */
function readRequest(): Request | undefined {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', default: IMAGES.join(',') },
      tag: { type: 'string', default: versionOf() },
      prefix: { type: 'string', default: '' },
      base: { type: 'string' },
      epoch: { type: 'string', default: '0' },
      load: { type: 'string' },
      sboms: { type: 'string' },
      verify: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) return undefined
  const names = values.only.split(',')
  const unknown = names.find((name) => !IMAGES.includes(name))
  if (unknown !== undefined) throw new Error(`there is no image ${unknown}`)
  const { tag, prefix, base, epoch, load, sboms, verify } = values
  return { names, tag, prefix, base, epoch, load, sboms, verify }
}

function versionOf(): string {
  return (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { readonly version: string }).version
}

function build(name: string, image: string, { base, epoch }: Request, ...more: readonly string[]): void {
  const args = [
    ...['build', '--file', join('images', `${name}.Dockerfile`), '--tag', image],
    ...['--build-arg', `SOURCE_DATE_EPOCH=${epoch}`],
    ...(base === undefined ? [] : ['--build-arg', `NODE_IMAGE=${base}`]),
    ...more,
    '.',
  ]
  // BuildKit, also where Docker is from before it was the default.
  const { status } = spawnSync('env', ['DOCKER_BUILDKIT=1', 'docker', ...args], { cwd: ROOT, stdio: 'inherit' })
  if (status !== 0) throw new Error(`docker ${args.join(' ')} failed`)
}

function docker(...args: readonly string[]): string {
  return execFileSync('docker', args, { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 }).trim()
}

/** Digests of the layers, uncompressed, from the base up. */
function layersOf(image: string): readonly string[] {
  return JSON.parse(docker('image', 'inspect', '--format', '{{json .RootFS.Layers}}', image)) as string[]
}

function writeSbom(image: string, file: string): void {
  const container = docker('create', image)
  try {
    docker('cp', `${container}:/app/sbom.cdx.json`, file)
  } finally {
    docker('rm', container)
  }
}

/** False: two builds of one image are not the same. */
function makeImages(request: Request): boolean {
  const images = request.names.map((name) => ({
    name,
    image: `${request.prefix}hauberk-${name}:${request.tag}`,
  }))
  for (const { name, image } of images) build(name, image, request)
  for (const { image } of images) {
    const megabytes = Number(docker('image', 'inspect', '--format', '{{.Size}}', image)) / 1e6
    process.stdout.write(
      `${image.padEnd(32)} ${megabytes.toFixed(0).padStart(5)} MB, ${layersOf(image).length} layers\n`,
    )
  }
  if (request.sboms !== undefined) {
    mkdirSync(request.sboms, { recursive: true })
    for (const { name, image } of images) writeSbom(image, join(request.sboms, `hauberk-${name}.cdx.json`))
  }
  const isReproducible = !request.verify || images.every(({ name, image }) => verify(name, image, request))
  if (request.load !== undefined) {
    const args = ['load', 'docker-image', ...images.map(({ image }) => image), '--name', request.load]
    const { status } = spawnSync('kind', args, { stdio: 'inherit' })
    if (status !== 0) throw new Error(`kind ${args.join(' ')} failed`)
  }
  return isReproducible
}

function verify(name: string, image: string, request: Request): boolean {
  const again = `${image}-again`
  build(name, again, request, '--no-cache')
  const [first, second] = [layersOf(image), layersOf(again)]
  docker('image', 'rm', again)
  const different = first.filter((layer, i) => layer !== second[i]).length
  const verdict = different === 0 ? 'the same layers' : `${different} of ${first.length} layers differ`
  process.stdout.write(`${image} built twice: ${verdict}\n`)
  return different === 0
}

function main(): number {
  let request: Request | undefined
  try {
    request = readRequest()
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`)
    return 2
  }
  if (request === undefined) {
    process.stdout.write(USAGE)
    return 0
  }
  try {
    return makeImages(request) ? 0 : 1
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`)
    return 1
  }
}

process.exitCode = main()
