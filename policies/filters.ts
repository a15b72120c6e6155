import type { Filter } from '../model/filter.ts'
import { authorization } from './authorization/filter.ts'
import { jwt } from './jwt/filter.ts'

/** LIST 1: every filter, in the order that a request meets them. */
export const FILTERS: readonly Filter[] = [jwt, authorization]
