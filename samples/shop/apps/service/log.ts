import { ecsFormat } from '@elastic/ecs-pino-format'
import { type DestinationStream, type Logger, pino } from 'pino'

export type { Logger }

/**
 * The log of one service: a JSON object a line, in the words of the Elastic Common Schema.
 *
 * One line for each event of interest, its facts as fields. Never a token, password, key or address.
 */
export function createLog(service: string, level: string, destination?: DestinationStream): Logger {
  const options = { ...ecsFormat({ serviceName: service, apmIntegration: false }), level }
  return destination ? pino(options, destination) : pino(options)
}
