import assert from 'node:assert/strict'
import type { RequestListener } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import type { FaultScenario } from '../scenario.ts'
import { startApp } from '../world/app.ts'
import { assertNothingLost, startLoad, tell } from '../world/load.ts'
import { NAMESPACE, openMesh } from '../world/mesh.ts'
import { until } from '../world/until.ts'

const ISSUER = 'https://issuer.faults.example'
const AUDIENCE = 'https://app.faults.example'

/** An unknown key is a reason to ask the issuer again, once in this time (T25). */
const ASK_AGAIN_MS = 31_000

/** After a failure the operator asks again this soon. */
const RETRY_MS = 6_000

export const issuerTrouble: FaultScenario = {
  name: 'issuer-trouble',
  title:
    'F07 F08: whatever becomes of the JWKS of an issuer, tokens of keys that are known are good, and new keys come in time',
  async *run(tools) {
    const [first, second] = await Promise.all([makeKey('k1'), makeKey('k2')])
    const mesh = await openMesh(tools, {
      services: { app: 1, issuer: 1 },
      resources: [
        {
          apiVersion: 'hauberk.dev/v1alpha1',
          kind: 'TokenIssuer',
          metadata: { name: 'faults' },
          spec: {
            issuer: ISSUER,
            audiences: [AUDIENCE],
            algorithms: ['ES256'],
            jwks: { uri: `http://issuer.${NAMESPACE}/jwks` },
          },
        },
        {
          apiVersion: 'hauberk.dev/v1alpha1',
          kind: 'SecurityPolicy',
          metadata: { namespace: NAMESPACE, name: 'tokens' },
          spec: {
            targetRefs: [{ kind: 'Service', name: 'app' }],
            authentication: { jwt: { required: true, issuers: [{ name: 'faults' }] } },
          },
        },
        {
          apiVersion: 'hauberk.dev/v1alpha1',
          kind: 'SecurityPolicy',
          metadata: { namespace: NAMESPACE, name: 'issuer-open' },
          spec: {
            targetRefs: [{ kind: 'Service', name: 'issuer' }],
            authorization: {
              allow: [{ name: 'operator', from: { serviceAccounts: ['hauberk-system/hauberk-operator'] } }],
            },
          },
        },
      ],
    })
    const [pod, issuerPod] = mesh.pods
    const app = await startApp(pod!.appPort)
    let asked = 0
    let answer: RequestListener = keysOf(first.jwk)
    const issuer = await startApp(issuerPod!.appPort, (request, response) => {
      asked += 1
      answer(request, response)
    })
    let token = await first.sign()
    const load = startLoad({
      targets: () => [mesh.gateway.port],
      perSecond: 50,
      path: '/',
      headers: () => ({ authorization: `Bearer ${token}` }),
    })
    const statusOf = (bearer: string) =>
      fetch(`http://127.0.0.1:${mesh.gateway.port}/`, { headers: { authorization: `Bearer ${bearer}` } }).then(
        async (response) => {
          await response.text()
          return response.status
        },
        () => 0,
      )
    try {
      await until('the first token is good', async () => (await statusOf(token)) === 200, 30_000)
      await sleep(2_000)
      const before = load.window()
      await sleep(2_000)
      const calm = await before.end()
      assertNothingLost(calm, 80)
      yield `before: ${tell(calm)}`

      const troubles: readonly (readonly [string, RequestListener])[] = [
        ['answers 500', (_request, response) => void response.writeHead(500).end()],
        ['sends garbage', (_request, response) => void response.end('<html>down for maintenance</html>')],
        ['sends 100 MB', (_request, response) => void sendMuch(response)],
        ['never answers', () => {}],
        [
          'redirects elsewhere',
          (_request, response) => void response.writeHead(302, { location: 'http://127.0.0.1/' }).end(),
        ],
      ]
      // A token of a key that nobody knows makes the operator ask; after a failure it asks again by itself.
      answer = troubles[0]![1]
      await sleep(ASK_AGAIN_MS)
      assert.equal(await statusOf(await second.sign()), 401)
      for (const [name, misbehave] of troubles.slice(0, tools.isShort ? 2 : troubles.length)) {
        answer = misbehave
        const from = asked
        const during = load.window()
        await until(`it is asked while it ${name}`, () => asked > from, ASK_AGAIN_MS * 2)
        await sleep(RETRY_MS)
        const count = await during.end()
        assertNothingLost(count, 100)
        yield `an issuer that ${name}, asked ${asked - from} times: ${tell(count)}`
      }

      // Published first, used once everybody can know it.
      answer = keysOf(first.jwk, second.jwk)
      const rotating = load.window()
      await until('the next key is known', async () => (await statusOf(await second.sign())) === 200, ASK_AGAIN_MS * 2)
      token = await second.sign()
      await sleep(3_000)
      const rotated = await rotating.end()
      assertNothingLost(rotated, 100)
      yield `it publishes another key, and signs with it: ${tell(rotated)}`
    } finally {
      await load.stop()
      await mesh.close()
      await Promise.all([app.destroy(), issuer.destroy()])
    }
  },
}

function keysOf(...keys: readonly JWK[]): RequestListener {
  return (_request, response) =>
    void response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys }))
}

async function sendMuch(response: Parameters<RequestListener>[1]): Promise<void> {
  response.on('error', () => {})
  response.write('{"keys":[')
  const chunk = ' '.repeat(1_000_000)
  for (let megabytes = 0; megabytes < 100 && !response.destroyed; megabytes++) {
    if (!response.write(chunk))
      await new Promise<void>((resolve) => {
        response.once('drain', resolve)
        response.once('close', resolve)
      })
  }
  response.end(']}')
}

async function makeKey(kid: string): Promise<{ readonly jwk: JWK; sign(): Promise<string> }> {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true })
  return {
    jwk: { ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' },
    sign: () =>
      new SignJWT({ scope: 'read' })
        .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid })
        .setIssuer(ISSUER)
        .setAudience(AUDIENCE)
        .setSubject('ann')
        .setIssuedAt()
        .setExpirationTime('1h')
        .sign(privateKey),
  }
}
