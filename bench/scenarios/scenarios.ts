import type { Scenario } from '../scenario.ts'
import { bodies } from './bodies.ts'
import { rate1000, rate4000 } from './fixed-rate.ts'
import { idle, rest, slowReading, start } from './footprint.ts'
import { handshakes } from './handshakes.ts'
import { http1 } from './http1.ts'
import { grpc, http2 } from './http2.ts'
import { pair } from './pair.ts'
import { push } from './push.ts'
import { routes } from './routes.ts'
import { tcp, websocket } from './streams.ts'
import { badTokens, tokens } from './tokens.ts'
import { workers } from './workers.ts'

/** Every scenario, in the order that they run. A new one is a file beside this one and a line here. */
export const SCENARIOS: readonly Scenario[] = [
  http1,
  rate1000,
  rate4000,
  tokens,
  badTokens,
  http2,
  grpc,
  pair,
  handshakes,
  ...bodies,
  slowReading,
  tcp,
  websocket,
  idle,
  push,
  workers,
  routes,
  start,
  rest,
]
