import type { Filter } from '../model/filter.ts'
import { authorization } from './authorization/filter.ts'

/** LIST 1: every filter, in the order that a request meets them. */
export const FILTERS: readonly Filter[] = [authorization]
