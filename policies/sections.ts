import type { Section } from '../model/section.ts'
import { authorizationSection } from './authorization/section.ts'
import { jwtSection } from './jwt/section.ts'

/** LIST 2: every section of a policy, by the filter it configures. */
export const SECTIONS: readonly Section[] = [jwtSection, authorizationSection]
