import assert from 'node:assert/strict'
import { type Kubectl, KubectlError } from '../kubectl.ts'
import type { ClusterScenario } from '../scenario.ts'

const NS = 'e2e-admission'

export const refusedAtAdmission: ClusterScenario = {
  name: 'refused-at-admission',
  title: 'what is wrong with a policy the API server says, with the path; what is only missing, it warns of',
  core: true,
  async *run({ kubectl, namespace }) {
    await namespace(NS)
    const mistakes: readonly (readonly [what: string, spec: string, path: RegExp])[] = [
      ['no target', '{targetRefs: [], authorization: {allow: []}}', /spec\.targetRefs/],
      ['a misspelt field', '{targetRefs: [{kind: Pod, selector: {}}], authorisation: {}}', /spec\.authorisation/],
      [
        'CEL that does not parse',
        `{targetRefs: [{kind: Pod, selector: {}}], authorization: {allow: [{name: a, when: 'claims.sub =='}]}}`,
        /spec\.authorization\.allow\[0\]\.when/,
      ],
      [
        'a path pattern that is none',
        `{targetRefs: [{kind: Pod, selector: {}}], authorization: {allow: [{name: a, to: {paths: ['/a/{**}/b/{**}']}}]}}`,
        /spec\.authorization\.allow\[0\]\.to\.paths\[0\]/,
      ],
    ]
    for (const [what, spec, path] of mistakes) {
      const said = await refusal(kubectl, spec)
      assert.match(said, path, said)
      yield { sent: `kubectl apply, ${what}`, got: 'refused', said: said.split('\n').at(-1) ?? said }
    }
    const warned = await kubectl.run(['apply', '--dry-run=server', '-f', '-', '-v=0'], {
      input: policyWith(
        `{targetRefs: [{kind: Service, name: nowhere}], authentication: {jwt: {required: true, issuers: [{name: unheard-of}]}}}`,
      ),
    })
    assert.match(warned, /created|configured/)
    yield { sent: 'kubectl apply, a Service and an issuer that are not there yet', got: 'taken, with a warning' }
  },
}

async function refusal(kubectl: Kubectl, spec: string): Promise<string> {
  try {
    await kubectl.apply(policyWith(spec))
  } catch (error) {
    if (error instanceof KubectlError) return error.stderr.trim()
    throw error
  }
  throw new assert.AssertionError({ message: `it was taken: ${spec}` })
}

function policyWith(spec: string): string {
  return `apiVersion: hauberk.dev/v1alpha1
kind: SecurityPolicy
metadata: {name: tried, namespace: ${NS}}
spec: ${spec}
`
}
