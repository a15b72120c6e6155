import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectPlain, type Socket } from 'node:net'
import { describe, it } from 'node:test'
import { connect } from 'node:tls'
import { encodePem } from '../../model/x509/pem.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { makeSigningKeyPair, randomSerial, SIGNING_ALGORITHM, toSigningKey } from '../identity/signing.ts'
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '../identity/x509-library.ts'
import { MAX_BODY_BYTES, MAX_BYTES_AT_ONCE, MAX_CONNECTIONS, MAX_REQUEST_MS } from './server.ts'
import { applyPatch } from './testing/apply-patch.ts'
import { HOST, reviewOf, SECRET, startWebhooks } from './testing/webhook-world.ts'

const POD = { metadata: { name: 'orders' }, spec: { containers: [{ name: 'app', image: 'orders' }] } }
const INJECT = `/inject/${SECRET}`

function answerOf(body: string) {
  const { response, ...review } = JSON.parse(body) as {
    apiVersion: string
    kind: string
    response: {
      uid: string
      allowed: boolean
      patchType?: string
      patch?: string
      warnings?: string[]
      status?: { code: number; message: string; details: { causes: { field: string }[] } }
    }
  }
  assert.deepEqual(review, { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview' })
  return response
}

describe('the webhook server', () => {
  it('answers a question about a pod with the patch that injects it', async (t) => {
    const { send } = await startWebhooks(t)
    const reply = await send(INJECT, reviewOf(POD))
    assert.equal(reply.status, 200)
    const { uid, allowed, patchType, patch = '' } = answerOf(reply.body)
    assert.deepEqual({ uid, allowed, patchType }, { uid: 'b7a3', allowed: true, patchType: 'JSONPatch' })
    const patched = applyPatch(POD, JSON.parse(Buffer.from(patch, 'base64').toString()))
    const { initContainers } = (patched as { spec: { initContainers: { name: string }[] } }).spec
    assert.deepEqual(
      initContainers.map(({ name }) => name),
      ['hauberk-init', 'hauberk-sidecar'],
    )
    const reviewed = await send(`/pods/${SECRET}`, reviewOf(patched))
    assert.deepEqual(answerOf(reviewed.body), { uid: 'b7a3', allowed: true })
  })

  it('tells what was answered about a policy, and to whom, but of no dry run', async (t) => {
    const told: string[] = []
    const { send } = await startWebhooks(t, {
      onPolicyReview: ({ user, name }, { allowed }) => void told.push(`${user} ${name} ${allowed}`),
    })
    const policy = (name: string, spec: unknown) => ({
      apiVersion: 'hauberk.dev/v1alpha1',
      kind: 'SecurityPolicy',
      metadata: { name, namespace: 'shop' },
      spec,
    })
    const ask = async (name: string, spec: unknown, more: object = {}) => {
      const review = JSON.parse(reviewOf(policy(name, spec), { kind: 'SecurityPolicy', group: 'hauberk.dev', name }))
      Object.assign(review.request, { userInfo: { username: 'alice', groups: ['team'] } }, more)
      assert.equal((await send(`/policies/${SECRET}`, JSON.stringify(review))).status, 200)
    }
    await ask('good', { targetRefs: [{ kind: 'Service', name: 'orders' }], mtls: { mode: 'Strict' } })
    await ask('bad', { targetRefs: [] })
    await ask('tried', { targetRefs: [] }, { dryRun: true })
    await ask('nobodys', { targetRefs: [] }, { userInfo: {} })
    assert.deepEqual(told, ['alice good true', 'alice bad false', ' nobodys false'])
  })

  it('F20: keeps no connection once it is to end, and answers what comes until then', async (t) => {
    const { server, ca } = await startWebhooks(t)
    const body = reviewOf(POD)
    const head = `POST ${INJECT} HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`
    const ask = async () => {
      const socket = connect({ port: server.port, host: '127.0.0.1', servername: HOST, ca: [...ca] })
      const closed = once(socket, 'close')
      const chunks: Buffer[] = []
      socket.write(head + body)
      for (;;) {
        const [chunk] = (await once(socket, 'data')) as [Buffer]
        chunks.push(chunk)
        const text = Buffer.concat(chunks).toString()
        if (text.endsWith('}}')) return { closed, text, socket }
      }
    }
    const kept = await ask()
    assert.match(kept.text, /^HTTP\/1\.1 200 [\s\S]*\r\nConnection: keep-alive\r\n/)
    server.retire()
    await kept.closed
    const late = await ask()
    assert.match(late.text, /^HTTP\/1\.1 200 [\s\S]*\r\nconnection: close\r\n/i)
    await late.closed
  })

  it('gives every pod a probe key of its own', async (t) => {
    const { send } = await startWebhooks(t)
    const keyOf = async () => {
      const { patch = '' } = answerOf((await send(INJECT, reviewOf(POD))).body)
      return /\\"probeKey\\":\\"([A-Za-z0-9_-]{32})\\"/.exec(Buffer.from(patch, 'base64').toString())?.[1]
    }
    const [one, two] = [await keyOf(), await keyOf()]
    assert.ok(one !== undefined && two !== undefined && one !== two)
  })

  it('T08: refuses with the place and the way out', async (t) => {
    const { send } = await startWebhooks(t)
    const pod = { ...POD, spec: { ...POD.spec, hostNetwork: true } }
    const { allowed, status } = answerOf((await send(INJECT, reviewOf(pod))).body)
    assert.equal(allowed, false)
    assert.equal(status?.code, 403)
    assert.match(status?.message ?? '', /^spec\.hostNetwork: .*optOuts of MeshConfig default\)$/)
    assert.deepEqual(
      status?.details.causes.map(({ field }) => field),
      ['spec.hostNetwork'],
    )
  })

  it('T28: judges a change of a pod and its ephemeral containers', async (t) => {
    const { send } = await startWebhooks(t)
    const { patch = '' } = answerOf((await send(INJECT, reviewOf(POD))).body)
    const before = applyPatch(POD, JSON.parse(Buffer.from(patch, 'base64').toString())) as typeof POD
    const debug = { name: 'debug', image: 'tools', securityContext: { privileged: true } }
    const object = { ...before, spec: { ...before.spec, ephemeralContainers: [debug] } }
    const change = { operation: 'UPDATE', subResource: 'ephemeralcontainers', oldObject: before }
    const { allowed, status } = answerOf((await send(`/pods/${SECRET}`, reviewOf(object, change))).body)
    assert.equal(allowed, false)
    assert.match(status?.message ?? '', /spec\.ephemeralContainers\[0\]\.securityContext\.privileged/)
  })

  it('touches no pod of the system namespaces, whatever its configuration says', async (t) => {
    const { send } = await startWebhooks(t)
    for (const namespace of ['hauberk-system', 'kube-system']) {
      for (const path of [INJECT, `/pods/${SECRET}`]) {
        const reply = await send(path, reviewOf({ nonsense: true }, { namespace }))
        assert.deepEqual(answerOf(reply.body), { uid: 'b7a3', allowed: true })
      }
    }
  })

  it('T28: answers 404 to whoever does not know the secret, and reads nothing of what they send', async (t) => {
    const { send, metrics } = await startWebhooks(t)
    const paths = [
      '/',
      '/inject',
      '/inject/',
      `/inject/${SECRET.slice(0, -1)}0`,
      `/inject/${SECRET.toUpperCase()}`,
      `/other/${SECRET}`,
      `/inject/${SECRET}/`,
      `/inject/${SECRET}/x`,
      `//inject/${SECRET}`,
      '/%',
    ]
    for (const path of paths) {
      const { status, body } = await send(path, undefined, { headers: { 'content-length': '9000000' }, method: 'POST' })
      assert.deepEqual([path, status, body], [path, 404, ''])
    }
    for (const method of ['GET', 'PUT', 'OPTIONS'])
      assert.equal((await send(INJECT, undefined, { method })).status, 404)
    assert.match(await metrics(), /hauberk_admission_rejected_total\{reason="path"\} 13/)
  })

  it('T28: takes no question above 3 MB, announced or not', async (t) => {
    const { send, metrics } = await startWebhooks(t)
    const large = Buffer.alloc(MAX_BODY_BYTES + 1, ' ')
    assert.equal((await send(INJECT, undefined, { headers: { 'content-length': String(large.length) } })).status, 413)
    const streamed = await send(INJECT, large, { headers: { 'transfer-encoding': 'chunked' } }).then(
      ({ status }) => status,
      (error: NodeJS.ErrnoException) => error.code,
    )
    assert.ok([413, 'EPIPE', 'ECONNRESET'].includes(streamed as number), String(streamed))
    assert.match(await metrics(), /hauberk_admission_rejected_total\{reason="size"\} 2/)
    assert.equal((await send(INJECT, reviewOf(POD))).status, 200)
  })

  it('T28: takes no question that is nested deeply, compressed, or none', async (t) => {
    const { send } = await startWebhooks(t)
    const deep = reviewOf(POD).replace('"dryRun"', `"deep":${'['.repeat(50_000)}${']'.repeat(50_000)},"dryRun"`)
    const bodies = [
      deep,
      '',
      '{',
      '[]',
      '"x"',
      '{"apiVersion":"v1"}',
      reviewOf(POD).replace('"uid":"b7a3"', '"uid":""'),
    ]
    for (const body of bodies) assert.equal((await send(INJECT, body)).status, 400, body.slice(0, 40))
    assert.equal((await send(INJECT, reviewOf(POD), { headers: { 'content-encoding': 'gzip' } })).status, 415)
  })

  it('T28: reads no more than 48 MB at once', async (t) => {
    const { server, ca, send } = await startWebhooks(t)
    const sockets = await Promise.all(
      Array.from({ length: MAX_BYTES_AT_ONCE / MAX_BODY_BYTES }, () => openQuestion(server.port, ca, MAX_BODY_BYTES)),
    )
    t.after(() => {
      for (const socket of sockets) socket.destroy()
    })
    const statusOf = async () => (await send(INJECT, reviewOf(POD))).status
    await until(async () => (await statusOf()) === 503)
    for (const socket of sockets) socket.destroy()
    await until(async () => (await statusOf()) === 200)
  })

  it('T28: gives a question up that does not come in 2 s', async (t) => {
    const clock = createManualClock(Date.now())
    const { server, ca } = await startWebhooks(t, { clock })
    const socket = await openQuestion(server.port, ca, 100)
    const closed = new Promise((resolve) => socket.once('close', resolve))
    await until(async () => {
      await clock.advance(MAX_REQUEST_MS + 1)
      return socket.destroyed || socket.readyState !== 'open'
    })
    await closed
  })

  it('T28: answers the API server however many others connect and say nothing', async (t) => {
    const { server, ca, send } = await startWebhooks(t)
    const known = await openTls(server.port, ca)
    const body = reviewOf(POD)
    known.write(`POST ${INJECT} HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
    await once(known, 'data')
    const silent: Socket[] = [await openTls(server.port, ca)]
    t.after(() => {
      for (const socket of [known, ...silent]) socket.destroy()
    })
    for (let i = 0; i < MAX_CONNECTIONS + 100; i++) {
      const socket = connectPlain({ host: '127.0.0.1', port: server.port })
      socket.on('error', () => {})
      await once(socket, 'connect')
      silent.push(socket)
    }
    assert.equal((await send(INJECT, reviewOf(POD))).status, 200)
    assert.equal(known.destroyed, false)
    for (const socket of silent) socket.destroy()
  })

  it('answers 500 where a handler fails, and goes on', async (t) => {
    let isBroken = true
    const { send, metrics } = await startWebhooks(t, {
      handlers: {
        inject: () => {
          if (isBroken) throw new Error('a mistake')
          return { allowed: true, warnings: [] }
        },
        pods: () => ({ allowed: true, warnings: [] }),
        policies: () => ({ allowed: true, warnings: [] }),
      },
    })
    assert.deepEqual(await send(INJECT, reviewOf(POD)), { status: 500, body: '' })
    isBroken = false
    assert.equal((await send(INJECT, reviewOf(POD))).status, 200)
    assert.match(await metrics(), /hauberk_admission_reviews_total\{webhook="inject",outcome="failed"\} 1/)
  })

  it('T31: says nothing of its secret to whoever asks', async (t) => {
    const { send, metrics } = await startWebhooks(t)
    const bodies = [
      (await send(INJECT, reviewOf(POD))).body,
      (await send(INJECT, reviewOf({ ...POD, spec: { ...POD.spec, hostNetwork: true } }))).body,
      (await send(INJECT, '{')).body,
      await metrics(),
    ]
    for (const body of bodies) assert.ok(!body.includes(SECRET))
  })

  it('F21: renews its certificate at half of its life, for the same name', async (t) => {
    const clock = createManualClock(Date.now() - 13 * 3_600_000)
    const { server, ca } = await startWebhooks(t, { clock })
    const serialNow = async () => {
      const socket = await openTls(server.port, ca)
      const { serialNumber, subjectaltname } = socket.getPeerCertificate()
      socket.destroy()
      assert.equal(subjectaltname, `DNS:${HOST}`)
      return serialNumber
    }
    const first = await serialNow()
    assert.equal(await serialNow(), first)
    await clock.advance(12 * 3_600_000 - 120_000)
    assert.equal(await serialNow(), first)
    await clock.advance(240_000)
    await until(async () => (await serialNow()) !== first)
  })
})

describe('the webhook server, where the API server has a client certificate', () => {
  it('T28: answers no other client, whatever path it knows', async (t) => {
    const authority = await clientAuthority()
    const { send, server, ca } = await startWebhooks(t, {
      clientCertificates: { authorities: authority.pem, names: ['system:apiserver', 'apiserver.example'] },
    })
    const statusWith = async (client: { key: string; cert: string } | undefined) => {
      return (await send(INJECT, reviewOf(POD), client)).status
    }
    assert.equal(await statusWith(await authority.sign('system:apiserver')), 200)
    assert.equal(await statusWith(await authority.sign('anybody', 'apiserver.example')), 200)
    assert.equal(await statusWith(await authority.sign('anybody', 'other.example')), 403)
    await assert.rejects(statusWith(undefined))
    const stranger = await clientAuthority()
    await assert.rejects(statusWith(await stranger.sign('system:apiserver')))
    assert.ok(server.port > 0 && ca.length > 0)
  })
})

/** Begins a question of a length, and sends nothing of it. */
async function openQuestion(port: number, ca: readonly string[], length: number) {
  const socket = await openTls(port, ca)
  socket.write(`POST ${INJECT} HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: ${length}\r\n\r\n`)
  return socket
}

function openTls(port: number, ca: readonly string[]) {
  return new Promise<ReturnType<typeof connect>>((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, servername: HOST, ca: [...ca] }, () => resolve(socket))
    socket.on('error', reject)
  })
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error('it did not come to that in 30 s')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** A CA of somebody else's, that signs clients by common name and DNS name. */
async function clientAuthority() {
  const { privateKey, publicKey } = makeSigningKeyPair()
  const dates = { notBefore: new Date(Date.now() - 3_600_000), notAfter: new Date(Date.now() + 3_600_000) }
  const common = {
    signingKey: toSigningKey(privateKey),
    signingAlgorithm: SIGNING_ALGORITHM,
    issuer: 'CN=clients',
    ...dates,
  }
  const pemOf = ({ rawData }: { rawData: ArrayBuffer }) => encodePem(new Uint8Array(rawData), 'CERTIFICATE')
  const root = await X509CertificateGenerator.create({
    ...common,
    serialNumber: randomSerial(),
    subject: 'CN=clients',
    publicKey,
    extensions: [new BasicConstraintsExtension(true, 1, true)],
  })
  return {
    pem: pemOf(root),
    async sign(commonName: string, dnsName = 'some.example') {
      const own = makeSigningKeyPair()
      const certificate = await X509CertificateGenerator.create({
        ...common,
        serialNumber: randomSerial(),
        subject: [{ CN: [commonName] }],
        publicKey: own.publicKey,
        extensions: [
          new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth]),
          new SubjectAlternativeNameExtension([{ type: 'dns', value: dnsName }]),
        ],
      })
      return { key: own.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string, cert: pemOf(certificate) }
    },
  }
}
