import type { Section } from '../model/section.ts'
import { authorizationSection } from './authorization/section.ts'

/** LIST 2: every section of a policy, by the filter it configures. */
export const SECTIONS: readonly Section[] = [authorizationSection]
