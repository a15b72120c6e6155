import * as v from 'valibot'

/** One kind of request. */
export const ExemptEntry = v.strictObject({
  /** Empty: every method. */
  methods: v.pipe(v.array(v.pipe(v.string(), v.maxLength(32))), v.maxLength(16)),
  paths: v.pipe(v.array(v.pipe(v.string(), v.maxLength(1_024))), v.minLength(1), v.maxLength(64)),
})
export type ExemptEntry = v.InferOutput<typeof ExemptEntry>

/** What the config of every filter has that asks who a user or client is. */
export const EXEMPTION_FIELDS = {
  exempt: v.pipe(v.array(ExemptEntry), v.maxLength(1_024)),
  /** What floors permit to be exempt: an exemption counts only if one entry of each list admits the request too. */
  exemptWithin: v.pipe(v.array(v.pipe(v.array(ExemptEntry), v.maxLength(1_024))), v.maxLength(64)),
}
