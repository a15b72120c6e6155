import { type IncomingMessage, request as requestPlain } from 'node:http'
import { request as requestSecure } from 'node:https'
import type { AppProbe } from '../../contract/pod.ts'
import { authority, PASSED, type ProbeOutcome, type ProbeTarget, unanswered } from './outcome.ts'

type HttpGet = NonNullable<AppProbe['httpGet']>
type Header = HttpGet['httpHeaders'][number]

/** Bytes of an answer that are read, as the kubelet reads them; the rest is left. */
const MAX_BODY_BYTES = 10_240
const MAX_HEADER_BYTES = 65_536
const MAX_REDIRECTS = 10
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/**
 * An HTTP probe as the kubelet does it (`pkg/probe/http`): any certificate is taken, a redirect is followed within the pod
 * and counts as healthy where it leads elsewhere, 200 to 399 is healthy. The pod's author wrote where it goes, nobody else.
 */
export async function probeHttp(
  { path, port, scheme, httpHeaders }: HttpGet,
  target: ProbeTarget,
): Promise<ProbeOutcome> {
  const start = new URL(`${scheme.toLowerCase()}://${authority(target.host, port)}/`)
  const own = httpHeaders.findLast(({ name }) => name.toLowerCase() === 'host')?.value
  try {
    let answer = await get(
      start,
      path.replace(/#.*$/, ''),
      headersFor(httpHeaders, own || authority(target.host, port), target),
      target,
    )
    let url = new URL(path, start)
    for (let followed = 0; REDIRECTS.has(answer.status) && answer.location !== undefined; followed++) {
      const next = new URL(answer.location, url)
      const isWithin = next.hostname === start.hostname && (next.protocol === 'http:' || next.protocol === 'https:')
      if (!isWithin) return PASSED
      if (followed === MAX_REDIRECTS) return { outcome: 'unanswered', reason: 'redirects without end' }
      const isRelative = !URL.canParse(answer.location)
      const host = isRelative && own ? own : next.host
      url = next
      answer = await get(next, next.pathname + next.search, headersFor(httpHeaders, host, target), target)
    }
    if (answer.status >= 200 && answer.status < 400) return PASSED
    return { outcome: 'failed', status: answer.status, reason: `answered ${answer.status}` }
  } catch (error) {
    return unanswered(error)
  }
}

/** Go's: the author's headers, and where they say nothing the kubelet's; an empty `Accept` is left out. */
function headersFor(given: readonly Header[], host: string, { userAgent }: ProbeTarget): readonly Header[] {
  const has = (wanted: string) => given.some(({ name }) => name.toLowerCase() === wanted)
  const kept = given.filter(
    ({ name, value }) => !SET_HERE.has(name.toLowerCase()) && !(isDefaulted(name) && value === ''),
  )
  return [
    { name: 'host', value: host },
    ...(has('user-agent') ? [] : [{ name: 'user-agent', value: userAgent }]),
    ...(has('accept') ? [] : [{ name: 'accept', value: '*/*' }]),
    ...kept,
    { name: 'connection', value: 'close' },
  ]
}

/** A probe has no body, and its connection is its own. */
const SET_HERE: ReadonlySet<string> = new Set(['host', 'connection', 'content-length', 'transfer-encoding'])

function isDefaulted(name: string): boolean {
  return ['accept', 'user-agent'].includes(name.toLowerCase())
}

interface Answer {
  readonly status: number
  readonly location: string | undefined
}

function get(url: URL, path: string, headers: readonly Header[], { host, signal }: ProbeTarget): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const isSecure = url.protocol === 'https:'
    const options = {
      host,
      port: url.port === '' ? (isSecure ? 443 : 80) : Number(url.port),
      method: 'GET',
      path,
      headers: headers.flatMap(({ name, value }) => [name, value]),
      agent: false,
      maxHeaderSize: MAX_HEADER_BYTES,
      signal,
    } as const
    const onAnswer = (answer: IncomingMessage) => {
      const settle = () => {
        resolve({ status: answer.statusCode ?? 0, location: answer.headers.location })
        answer.destroy()
      }
      let total = 0
      answer.on('data', (chunk: Buffer) => {
        total += chunk.length
        if (total > MAX_BODY_BYTES) settle()
      })
      answer.once('end', settle)
      answer.on('error', reject)
    }
    // The kubelet verifies nothing either: it asks for health, and tells no secret but what the pod's author put there.
    const call = isSecure
      ? requestSecure({ ...options, rejectUnauthorized: false, servername: '' }, onAnswer)
      : requestPlain(options, onAnswer)
    call.on('error', reject)
    call.end()
  })
}
