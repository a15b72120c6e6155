import * as v from 'valibot'

const token = v.pipe(v.string(), v.regex(/^(?:\*|[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256})$/))
const tokens = v.pipe(v.array(token), v.maxLength(64))

export const CorsConfig = v.strictObject({
  /** `https://shop.example`, `https://*.shop.example`, or `*`. */
  allowOrigins: v.pipe(v.array(v.pipe(v.string(), v.maxLength(300))), v.minLength(1), v.maxLength(64)),
  allowMethods: tokens,
  /** In lower case. */
  allowHeaders: tokens,
  exposeHeaders: tokens,
  allowCredentials: v.boolean(),
  maxAgeSeconds: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(86_400)),
})
export type CorsConfig = v.InferOutput<typeof CorsConfig>
