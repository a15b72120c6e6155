import { generateKeyPairSync } from 'node:crypto'
import * as x509 from '@peculiar/x509'
import type { CertificateAsk } from '../apps/certificate.ts'
import type { Answer } from '../world/answer.ts'
import type { ClusterWorld } from './cluster-world.ts'
import { scriptOf } from './script.ts'

/** Asks the operator for an SVID with a token, from a pod that is not of the mesh. */
export async function askForCertificate({ kubectl, gateway }: ClusterWorld, token: string): Promise<Answer> {
  const request: CertificateAsk = {
    host: 'hauberk-operator.hauberk-system.svc',
    port: 15_012,
    token,
    csr: await soundCsr(),
    ca: gateway.ca,
  }
  const command = ['node', '--input-type=module', '--eval', await scriptOf('certificate')]
  const neighbour = { namespace: 'hauberk-e2e-outside', pod: 'neighbour' }
  return JSON.parse(await kubectl.exec(neighbour, command, { input: JSON.stringify(request) })) as Answer
}

async function soundCsr(): Promise<string> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' }
  const keys = {
    privateKey: await crypto.subtle.importKey(
      'pkcs8',
      privateKey.export({ type: 'pkcs8', format: 'der' }),
      algorithm,
      true,
      ['sign'],
    ),
    publicKey: await crypto.subtle.importKey(
      'spki',
      publicKey.export({ type: 'spki', format: 'der' }),
      algorithm,
      true,
      ['verify'],
    ),
  }
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({
    name: '',
    keys,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
  })
  return csr.toString('pem')
}
