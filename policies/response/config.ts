import * as v from 'valibot'

export const ResponseConfig = v.strictObject({
  /** Of refusals that would be 403. */
  deniedStatus: v.pipe(v.number(), v.integer(), v.minValue(400), v.maxValue(499)),
  format: v.picklist(['problem-json', 'text', 'empty']),
  hidesExistence: v.boolean(),
  /** The value of Strict-Transport-Security; absent: not sent. */
  hsts: v.optional(v.pipe(v.string(), v.maxLength(128))),
  /** Names in lower case; each is set on every response, in place of what the application sent. */
  headers: v.pipe(
    v.array(v.strictTuple([v.pipe(v.string(), v.maxLength(256)), v.pipe(v.string(), v.maxLength(4096))])),
    v.maxLength(64),
  ),
})
export type ResponseConfig = v.InferOutput<typeof ResponseConfig>
