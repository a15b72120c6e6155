import { parseDuration } from '../../model/duration.ts'
import { type Issue, issue } from '../../model/result.ts'
import { TRAFFIC_DEFAULTS, type TrafficPolicySpec } from './traffic-policy.ts'

/** What the schema of a TrafficPolicy cannot see: parts that come to nothing beside each other. Paths are below `spec`. */
export function reviewTrafficPolicy({ timeouts = {}, retry }: TrafficPolicySpec): readonly Issue[] {
  const issues: Issue[] = []
  const warn = (path: string, message: string, fix: string) =>
    issues.push({ ...issue('traffic-without-effect', path, message, fix), severity: 'warning' })
  const requestMs = millisecondsOf(timeouts.request)
  const tryMs = millisecondsOf(timeouts.try)
  if (requestMs > 0 && tryMs > requestMs) {
    warn('timeouts.try', 'is longer than timeouts.request, which ends every try before', 'write a shorter one')
  }
  if (retry === undefined) return issues
  const { attempts, conditions = TRAFFIC_DEFAULTS.retry.conditions, statusCodes = [] } = retry
  if (attempts !== 0 && conditions.length + statusCodes.length === 0) {
    warn('retry.conditions', 'is empty, and so is statusCodes: nothing is tried again', 'name what a try may end as')
  }
  if (conditions.some((condition) => condition === 'Timeout') && tryMs === 0) {
    warn('retry.conditions', 'names Timeout, and no try has one', 'write timeouts.try')
  }
  return issues
}

/** 0 where nothing is written. */
function millisecondsOf(text: string | undefined): number {
  const parsed = text === undefined ? undefined : parseDuration(text)
  return parsed?.ok === true ? parsed.value : 0
}
