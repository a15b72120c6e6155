import type { JsonSchema } from '../../model/section.ts'

export type PolicyMode = 'Enforce' | 'DryRun' | 'Off'

export const POLICY_MODE_SCHEMA: JsonSchema = {
  type: 'string',
  description:
    'mode says what becomes of the policy. Enforce applies it. DryRun changes no answer: what it would have denied is counted and logged. Off leaves it aside. Default: Enforce.',
  enum: ['Enforce', 'DryRun', 'Off'],
  default: 'Enforce',
}
