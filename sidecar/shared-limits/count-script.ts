/**
 * What Redis does for one client of one limit: it counts what replicas have let through and what it grants them, and forgets
 * at the rate of the limit (a generic cell rate algorithm, told in requests). The whole of it is one step there.
 *
 * - `KEYS[1]`: the client of the limit.
 * - `ARGV`: microseconds between two requests at the rate; the burst; how many requests were let through without a grant (less
 *   than 0: how many grants come back unused); how many are wanted ahead; what the replica believes was counted, which holds where
 *   Redis knows nothing, as after a restart without its data.
 *
 * Answers what is granted, never more than half of what is left, so that other replicas find something too; and what is
 * counted then, as text, for Redis makes whole numbers of numbers.
 *
 * What was let through counts even where it is more than the limit: it is earned back before more is granted. A clock of Redis
 * that goes back earns nothing until it is where it was told of last; one that jumps ahead earns a burst at most.
 */
export const COUNT_SCRIPT = `
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local counted = tonumber(ARGV[5])
local stored = redis.call('GET', KEYS[1])
if stored then
  local level, at = string.match(stored, '^(%S+) (%S+)$')
  counted = math.max(0, tonumber(level) - math.max(0, now - tonumber(at)) / interval)
end
counted = math.max(0, counted + tonumber(ARGV[3]))
local granted = math.max(0, math.min(tonumber(ARGV[4]), math.floor((burst - counted) / 2)))
counted = counted + granted
local keep = math.ceil(counted * interval / 1000) + 1000
redis.call('SET', KEYS[1], string.format('%.6f %.0f', counted, now), 'PX', keep)
return {granted, string.format('%.6f', counted)}
`
