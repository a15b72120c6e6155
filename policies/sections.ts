import type { Section } from '../model/section.ts'

/** LIST 2: every section of a policy, by the filter it configures. */
export const SECTIONS: readonly Section[] = []
