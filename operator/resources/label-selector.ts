import type { JsonSchema } from '../../model/section.ts'

/** The schema of a `metav1.LabelSelector`, bounded; `what` is what it selects. */
export function labelSelectorSchema(description: string): JsonSchema {
  return {
    type: 'object',
    description,
    properties: {
      matchLabels: {
        type: 'object',
        description: 'matchLabels are labels that must all be there with these values. Default: none are asked for.',
        maxProperties: 16,
        additionalProperties: { type: 'string', maxLength: 63 },
      },
      matchExpressions: {
        type: 'array',
        description: 'matchExpressions are conditions on labels that must all hold. Default: none are asked for.',
        maxItems: 16,
        'x-kubernetes-list-type': 'atomic',
        items: {
          type: 'object',
          required: ['key', 'operator'],
          properties: {
            key: {
              type: 'string',
              description: 'key is the label that the condition is about.',
              minLength: 1,
              maxLength: 317,
            },
            operator: {
              type: 'string',
              description:
                'operator is In or NotIn (the value is, or is not, one of values; NotIn also selects what lacks the label), Exists or DoesNotExist.',
              enum: ['In', 'NotIn', 'Exists', 'DoesNotExist'],
            },
            values: {
              type: 'array',
              description: 'values are what In and NotIn compare with; required for them, refused for the others.',
              maxItems: 32,
              'x-kubernetes-list-type': 'atomic',
              items: { type: 'string', maxLength: 63 },
            },
          },
          'x-kubernetes-validations': [
            {
              rule: "self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0 : !has(self.values) || size(self.values) == 0",
              message: 'In and NotIn need values; Exists and DoesNotExist take none',
            },
          ],
        },
      },
    },
  }
}
