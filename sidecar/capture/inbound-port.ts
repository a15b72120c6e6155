import type { Pipeline } from '../compile/pipeline.ts'
import type { Accepted, ConnectionTable } from '../serve/accepted.ts'
import { NOT_CAPTURED, NOT_SERVING, UNDECLARED_PORT } from '../serve/denials.ts'
import type { Engine } from '../serve/engine.ts'
import { createInboundService, type InboundService } from '../serve/inbound.ts'
import { createPort, type Port, type PortLabel, tellRefused } from '../serve/port.ts'
import type { CaptureOptions } from './capture.ts'
import { type Destination, describeDestination, oneSpelling } from './destination.ts'

/**
 * Where every connection to the pod arrives, whichever port it is for. It is served as that port is, and forwarded to the
 * very address and port that it was for: a pod's address and a declared port, nothing else, and never loopback (T10).
 */
export function createCapturedInboundPort(
  engine: Engine,
  table: ConnectionTable,
  { originalDestination, ...place }: CaptureOptions,
): Port {
  const label: PortLabel = { direction: 'inbound', listener: 'captured' }
  const podIps = place.podIps.map(oneSpelling)
  const self = oneSpelling(place.self)
  const ownPorts = new Set([...place.inbound, ...place.outbound].map(({ port }) => port))
  /** By address and port. Those of the pod's addresses and the config's ports, no others. */
  const services = new Map<string, InboundService>()

  const serve = (accepted: Accepted): void => {
    const destination = originalDestination(accepted.socket)
    if (destination === undefined) return refuse(accepted, NOT_CAPTURED.name)
    const { address, port } = destination
    const isOfPod = podIps.includes(address) || address === self
    if (!isOfPod || ownPorts.has(port)) return refuse(accepted, NOT_CAPTURED.name, destination)
    const pipeline = engine.pipeline()
    if (pipeline === undefined) return refuse(accepted, NOT_SERVING.name, destination)
    if (!pipeline.inbound.has(port)) return refuse(accepted, UNDECLARED_PORT.name, destination)
    serviceFor(destination).serve(accepted)
  }

  const serviceFor = ({ address, port }: Destination): InboundService => {
    const key = `${address} ${port}`
    const known = services.get(key)
    if (known !== undefined) return known
    // The pod itself comes by way of `self`, and is whom it calls.
    const host = address === self ? (podIps[0] ?? address) : address
    const made = createInboundService(engine, {
      containerPort: port,
      app: { host, port },
      ...(address === self ? { clientIp: host } : {}),
    })
    services.set(key, made)
    return made
  }

  const refuse = ({ socket }: Accepted, denial: string, destination?: Destination): void => {
    tellRefused(engine, label, socket, denial, destination && describeDestination(destination))
    socket.destroy()
  }

  const forget = (pipeline: Pipeline | undefined): void => {
    for (const [key, service] of services) {
      if (pipeline?.inbound.has(Number(service.label.listener)) === true) continue
      services.delete(key)
      service.close()
    }
  }

  const port = createPort(engine, table, place.inbound, label, serve)
  return {
    ...port,
    refresh: () => forget(engine.pipeline()),
    close() {
      port.close()
      forget(undefined)
    },
  }
}
