import type { Filter } from '../model/filter.ts'

/** LIST 1: every filter, in the order that a request meets them. */
export const FILTERS: readonly Filter[] = []
