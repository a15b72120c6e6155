import type { FaultScenario } from '../scenario.ts'
import { badBackend } from './bad-backend.ts'
import { blackHole } from './black-hole.ts'
import { clockJumps } from './clock-jumps.ts'
import { descriptorsExhausted } from './descriptors-exhausted.ts'
import { diskFull } from './disk-full.ts'
import { idleConnections } from './idle-connections.ts'
import { issuerTrouble } from './issuer-trouble.ts'
import { overload } from './overload.ts'
import { rollout } from './rollout.ts'
import { rootRotation } from './root-rotation.ts'
import { sidecarKilled } from './sidecar-killed.ts'
import { slowBackend } from './slow-backend.ts'

export const SCENARIOS: readonly FaultScenario[] = [
  sidecarKilled,
  slowBackend,
  badBackend,
  blackHole,
  idleConnections,
  descriptorsExhausted,
  overload,
  rollout,
  rootRotation,
  issuerTrouble,
  clockJumps,
  diskFull,
]
