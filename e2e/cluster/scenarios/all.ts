import type { ClusterScenario } from '../scenario.ts'
import { apiServerRestarted } from './api-server-restarted.ts'
import { commandLine } from './command-line.ts'
import { databaseAlone } from './database-alone.ts'
import { floor } from './floor.ts'
import { gatewayCertificate } from './gateway-certificate.ts'
import { identityTokens } from './identity-tokens.ts'
import { job } from './job.ts'
import { kubernetesApi } from './kubernetes-api.ts'
import { manyPolicies } from './many-policies.ts'
import { mutualTls } from './mutual-tls.ts'
import { operatorsKilled } from './operators-killed.ts'
import { plaintextToPods } from './plaintext-to-pods.ts'
import { policyAcknowledged } from './policy-acknowledged.ts'
import { probes } from './probes.ts'
import { refusedAtAdmission } from './refused-at-admission.ts'
import { rollingRestarts } from './rolling-restarts.ts'
import { rootRotation } from './root-rotation.ts'
import { sidecarImage } from './sidecar-image.ts'
import { sizing } from './sizing.ts'
import { twoNodes } from './two-nodes.ts'
import { uninstall } from './uninstall.ts'
import { unmeshedPod } from './unmeshed-pod.ts'
import { upgrade } from './upgrade.ts'
import { watchTrouble } from './watch-trouble.ts'
import { webhookClientCertificate } from './webhook-client-certificate.ts'
import { webhookDown } from './webhook-down.ts'

/** What only a cluster shows, in the order of the least disturbance. */
export const CLUSTER_SCENARIOS: readonly ClusterScenario[] = [
  mutualTls,
  plaintextToPods,
  twoNodes,
  policyAcknowledged,
  databaseAlone,
  refusedAtAdmission,
  floor,
  job,
  kubernetesApi,
  probes,
  identityTokens,
  unmeshedPod,
  commandLine,
  gatewayCertificate,
  rollingRestarts,
  operatorsKilled,
  webhookDown,
  sizing,
  manyPolicies,
  sidecarImage,
  upgrade,
  rootRotation,
  webhookClientCertificate,
  watchTrouble,
  apiServerRestarted,
  uninstall,
]
