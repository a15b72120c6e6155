import type { Accepted, ConnectionTable } from '../accepted.ts'
import { FOREIGN_PROCESS, NOT_SERVING } from '../denials.ts'
import type { Engine } from '../engine.ts'
import type { TcpPlace } from '../placement.ts'
import { createPort, type Port, type PortLabel, tellRefused } from '../port.ts'
import { refusalOf } from '../tcp.ts'
import { joinUpstream } from './join-upstream.ts'
import { KNOWS_PROCESSES, ProcessTrees } from './process-tree.ts'

/**
 * One Service of opaque TCP that the workload calls, on a port of its own: bytes in plaintext from the workload, mutual TLS
 * to the Service's sidecar. Nothing in the bytes says who speaks, so the operating system is asked (T33, T35).
 */
export function createTcpPort(
  engine: Engine,
  table: ConnectionTable,
  { upstream, bind }: TcpPlace,
  appRootPid: (() => number | undefined) | undefined,
): Port {
  const label: PortLabel = { direction: 'outbound', listener: upstream }
  const trees = new ProcessTrees()
  if (appRootPid !== undefined && !KNOWS_PROCESSES) {
    engine.log.warn('whose connections come to TCP ports is not checked on this operating system', {
      'hauberk.upstream': upstream,
    })
  }
  const serve = (accepted: Accepted): void => {
    const { socket } = accepted
    socket.pause()
    isOfWorkload(accepted, trees, appRootPid).then(
      (isOurs) => {
        if (socket.destroyed) return
        if (isOurs) return join(accepted)
        tellRefused(engine, label, socket, FOREIGN_PROCESS.name)
        socket.destroy()
      },
      (err: unknown) => {
        engine.log.error('connection failed in the proxy', { err })
        socket.destroy()
      },
    )
  }

  const join = (accepted: Accepted): void => {
    const pipeline = engine.pipeline()
    if (pipeline === undefined) {
      tellRefused(engine, label, accepted.socket, NOT_SERVING.name)
      return void accepted.socket.destroy()
    }
    engine.upstreams.update(pipeline.config, engine.endpoints())
    joinUpstream(engine, accepted, label, upstream, {
      by: pipeline,
      // A Service that is no longer declared is no longer called.
      again: (next) =>
        next.config.outbound.services.some((service) => service.upstream === upstream)
          ? undefined
          : refusalOf(NOT_SERVING.name),
    })
  }

  return createPort(engine, table, bind, label, serve)
}

async function isOfWorkload(
  { socket }: Accepted,
  trees: ProcessTrees,
  appRootPid: (() => number | undefined) | undefined,
): Promise<boolean> {
  if (appRootPid === undefined || !KNOWS_PROCESSES) return true
  const rootPid = appRootPid()
  const { remoteAddress, remotePort, localAddress, localPort } = socket
  if (rootPid === undefined || remoteAddress === undefined || localAddress === undefined) return false
  if (remotePort === undefined || localPort === undefined) return false
  return trees.contains(
    rootPid,
    { address: remoteAddress, port: remotePort },
    { address: localAddress, port: localPort },
  )
}
