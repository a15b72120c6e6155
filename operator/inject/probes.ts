import {
  type AppProbe,
  MAX_PROBE_SECONDS,
  PORTS,
  PROBE_KEY_HEADER,
  type ProbeKind,
  probePath,
} from '../../contract/pod.ts'
import { type Issue, issue } from '../../model/result.ts'
import { CONTAINER_LISTS, type ContainerList, containersOf } from './pod-containers.ts'
import type { ContainerObject, HttpGet, PodObject, ProbeHandler } from './pod-object.ts'

/** What the kubelet asks the sidecar now, and what the sidecar is to ask the app then. */
export interface RewrittenProbes {
  readonly pod: PodObject
  /** In the order of the containers. */
  readonly probes: readonly AppProbe[]
  readonly issues: readonly Issue[]
}

/**
 * Has the kubelet ask the sidecar for every probe and hook that speaks HTTP, TCP or gRPC to the pod: its own connections
 * come without a certificate of the mesh, and are refused like anybody's. What runs a command in a container, sleeps, or
 * names another host stays as it is.
 */
export function rewriteProbes(pod: PodObject, probeKey: string): RewrittenProbes {
  const probes: AppProbe[] = []
  const issues: Issue[] = []
  const written = pod.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS
  const graceSeconds = Math.min(Math.max(1, written), MAX_PROBE_SECONDS)
  const rewritten = mapHandlers(pod, ({ container, kind, handler, path }) => {
    const asked = askedOf(container, handler, path, issues)
    if (asked === undefined) return handler
    const timeoutSeconds = isProbe(kind) ? ((handler['timeoutSeconds'] as number | undefined) ?? 1) : graceSeconds
    probes.push({ container: container.name, kind, ...asked, timeoutSeconds })
    const { httpGet: _http, tcpSocket: _tcp, grpc: _grpc, ...rest } = handler
    return { httpGet: askSidecar(probePath(container.name, kind), probeKey), ...rest }
  })
  return { pod: rewritten, probes, issues }
}

/** How the kubelet asks the sidecar. The sidecar's own probes need no key. */
export function askSidecar(path: string, probeKey?: string): HttpGet {
  return {
    path,
    port: PORTS.probes,
    scheme: 'HTTP',
    ...(probeKey !== undefined && { httpHeaders: [{ name: PROBE_KEY_HEADER, value: probeKey }] }),
  }
}

/** Puts back what {@link rewriteProbes} took. A place that asks the sidecar for what is not in `probes` is an issue. */
export function restoreProbes(
  pod: PodObject,
  probes: readonly AppProbe[],
): { readonly pod: PodObject; readonly issues: readonly Issue[] } {
  const issues: Issue[] = []
  const byPath = new Map(probes.map((probe) => [probePath(probe.container, probe.kind), probe]))
  const restored = mapHandlers(pod, ({ container, kind, handler, path }) => {
    const { httpGet, ...rest } = handler
    const own = probePath(container.name, kind)
    if (httpGet?.port !== PORTS.probes) return handler
    const original = httpGet.path === own ? byPath.get(own) : undefined
    if (original === undefined) {
      const message = 'asks the sidecar for a probe that it knows nothing of'
      issues.push(issue('malformed-probe', `${path}.httpGet`, message, 'inject the pod as it was before'))
      return handler
    }
    const { httpGet: http, tcpSocket, grpc } = original
    return {
      ...(http !== undefined && { httpGet: http }),
      ...(tcpSocket !== undefined && { tcpSocket }),
      ...(grpc !== undefined && { grpc }),
      ...rest,
    }
  })
  return { pod: restored, issues }
}

/** Kubernetes' own. */
const DEFAULT_GRACE_SECONDS = 30

const PROBES = { startup: 'startupProbe', readiness: 'readinessProbe', liveness: 'livenessProbe' } as const
const HOOKS = ['postStart', 'preStop'] as const

/** A probe or hook, and where it stands. */
interface PlacedHandler {
  readonly container: ContainerObject
  readonly kind: ProbeKind
  readonly handler: ProbeHandler
  readonly path: string
}

function isProbe(kind: ProbeKind): kind is keyof typeof PROBES {
  return Object.hasOwn(PROBES, kind)
}

/** The pod with each probe and hook replaced by what `replace` makes of it; the very pod where it replaces nothing. */
function mapHandlers(pod: PodObject, replace: (placed: PlacedHandler) => ProbeHandler): PodObject {
  const changed: Partial<Record<ContainerList, ContainerObject[]>> = {}
  for (const { container, list, path } of containersOf(pod)) {
    const next = mapContainer(container, path, replace)
    const siblings = changed[list] ?? []
    siblings.push(next)
    changed[list] = siblings
  }
  const isSame = CONTAINER_LISTS.every(
    (list) => changed[list]?.every((next, i) => next === pod.spec[list]?.[i]) ?? true,
  )
  return isSame ? pod : { ...pod, spec: { ...pod.spec, ...changed } }
}

function mapContainer(
  container: ContainerObject,
  path: string,
  replace: (placed: PlacedHandler) => ProbeHandler,
): ContainerObject {
  let next = container
  for (const [kind, field] of Object.entries(PROBES) as [keyof typeof PROBES, (typeof PROBES)[keyof typeof PROBES]][]) {
    const handler = container[field]
    if (handler === undefined) continue
    const replaced = replace({ container, kind, handler, path: `${path}.${field}` })
    if (replaced !== handler) next = { ...next, [field]: replaced }
  }
  for (const kind of HOOKS) {
    const handler = container.lifecycle?.[kind]
    if (handler === undefined) continue
    const replaced = replace({ container, kind, handler, path: `${path}.lifecycle.${kind}` })
    if (replaced !== handler) next = { ...next, lifecycle: { ...next.lifecycle, [kind]: replaced } }
  }
  return next
}

type Asked = Pick<AppProbe, 'httpGet' | 'tcpSocket' | 'grpc'>

/** What is asked of the app; undefined when the kubelet's own way stays. */
function askedOf(
  container: ContainerObject,
  { httpGet, tcpSocket, grpc }: ProbeHandler,
  path: string,
  issues: Issue[],
): Asked | undefined {
  if (httpGet !== undefined) {
    if (httpGet.host !== undefined && httpGet.host !== '') return undefined
    const port = portOf(httpGet.port, container, `${path}.httpGet.port`, issues)
    const httpHeaders = headersOf(httpGet, `${path}.httpGet`, issues)
    if (port === undefined || httpHeaders === undefined) return undefined
    const scheme = httpGet.scheme === 'HTTPS' ? 'HTTPS' : 'HTTP'
    return { httpGet: { path: requestPathOf(httpGet.path ?? '/'), port, scheme, httpHeaders } }
  }
  // As a hook it never did anything (Kubernetes, LifecycleHandler.tcpSocket).
  if (tcpSocket !== undefined && !path.includes('.lifecycle.')) {
    if (tcpSocket.host !== undefined && tcpSocket.host !== '') return undefined
    const port = portOf(tcpSocket.port, container, `${path}.tcpSocket.port`, issues)
    return port === undefined ? undefined : { tcpSocket: { port } }
  }
  if (grpc !== undefined) return { grpc: { port: grpc.port, service: grpc.service ?? '' } }
  return undefined
}

function portOf(
  written: number | string,
  { name, ports = [] }: ContainerObject,
  path: string,
  issues: Issue[],
): number | undefined {
  const named =
    typeof written === 'string' ? ports.find((declared) => declared.name === written)?.containerPort : undefined
  const port = named ?? (/^[0-9]{1,5}$/.test(String(written)) ? Number(written) : undefined)
  if (port === undefined || port < 1 || port > 65_535) {
    const names = ports.flatMap((declared) => declared.name ?? [])
    const fix = names.length === 0 ? 'write its number' : `one of ${names.join(', ')}, or a number`
    issues.push(issue('malformed-probe', path, `container ${name} has no port ${JSON.stringify(written)}`, fix))
    return undefined
  }
  if (port !== PORTS.probes) return port
  issues.push(issue('reserved-port', path, `${port} is the probes port of the sidecar`, 'choose another port'))
  return undefined
}

/** RFC 9110, 5.1 and 5.5; the kubelet would fail on others each time. */
const FIELD_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/
const MAX_HEADERS = 64
const MAX_TEXT = 4_096

function headersOf(
  { httpHeaders = [] }: HttpGet,
  path: string,
  issues: Issue[],
): { name: string; value: string }[] | undefined {
  const wrong = httpHeaders.flatMap(({ name, value }, i) => {
    const isSound = FIELD_NAME.test(name) && FIELD_VALUE.test(value) && name.length + value.length <= MAX_TEXT
    return isSound ? [] : [issue('malformed-probe', `${path}.httpHeaders[${i}]`, 'is no header that HTTP has')]
  })
  if (httpHeaders.length > MAX_HEADERS) {
    wrong.push(issue('malformed-probe', `${path}.httpHeaders`, `has more than ${MAX_HEADERS} headers`))
  }
  issues.push(...wrong)
  return wrong.length > 0 ? undefined : httpHeaders.map(({ name, value }) => ({ name, value }))
}

/** The path as the kubelet would send it: from the root, without a fragment, escaped. */
function requestPathOf(written: string): string {
  const [withoutFragment = ''] = written.split('#', 1)
  const path = withoutFragment.startsWith('/') ? withoutFragment : `/${withoutFragment}`
  return path.replace(/[^\x21-\x7e]+/g, (odd) => encodeURIComponent(odd.toWellFormed()))
}
