import { DURATION_PATTERN } from '../../model/duration.ts'
import type { JsonSchema } from '../../model/section.ts'
import { MAX_CONTEXT_CLAIMS } from './config.ts'

/** `internalToken` as a policy, and each level of a MeshSecurityPolicy, may say it. Its defaults are in `combine`. */
export const INTERNAL_TOKEN_SCHEMA: JsonSchema = {
  type: 'object',
  description:
    'internalToken says which internal tokens (transaction tokens, header Txn-Token) a service takes; and, where authentication.jwt.forward is Exchange, what those are like that requests go on with. At a gateway only the latter. Default: internal tokens are not looked at.',
  properties: {
    required: {
      type: 'boolean',
      description:
        'required says whether a request without an internal token is refused with 401. One that is there and not good is refused in any case. True if any policy or floor says so, and by default: a policy that leaves it out asks for one.',
    },
    scope: {
      type: 'string',
      minLength: 1,
      maxLength: 1024,
      pattern: '^[!#-\\[\\]-~]{1,128}( [!#-\\[\\]-~]{1,128})*$',
      description:
        "scope lists words, separated by a space: those that a token must have here, all of them, as said by floor and policies together; with Exchange, those that a token gets at most, as far as the user's own token has them. Default: a token needs none, and gets those of the user's token.",
    },
    subject: {
      type: 'string',
      enum: ['User', 'Any'],
      description:
        'subject says whether a token must speak for a user (User), or may be one that a workload has for itself (Any). User if any policy or floor says so. Default: User.',
    },
    binding: {
      type: 'string',
      enum: ['Caller', 'None'],
      description:
        'binding says whether a token must have been made for the caller that sends it (Caller), so that nobody can use what was given to them, or may be passed on as it is (None). None counts only where every floor that speaks of it says so too. Default: Caller.',
    },
    forward: {
      type: 'string',
      enum: ['Strip', 'Keep'],
      description:
        'forward says whether the application gets the internal token (Keep) or not (Strip). Strip in a floor cannot be changed. Default: Strip.',
    },
    ttl: {
      type: 'string',
      maxLength: 32,
      pattern: DURATION_PATTERN,
      description:
        "ttl is how long a token is good that is made here, from 60s to 300s, and no longer than the user's own. No longer than a floor says. Default: 120s.",
    },
    calls: {
      type: 'object',
      description:
        "calls says what tokens are like that the workload's own calls go on with. They are for the user whose request is in work with the same trace id, or for the workload itself where there is none.",
      properties: {
        scope: {
          type: 'string',
          maxLength: 1024,
          pattern: '^([!#-\\[\\]-~]{1,128}( [!#-\\[\\]-~]{1,128})*)?$',
          description:
            "scope lists words, separated by a space: those that a token of a call gets at most; of a user's, as far as the token has them that came in. Default: all that it has, and none for the workload itself.",
        },
      },
    },
    context: {
      type: 'object',
      description:
        'context says what a token that is made here tells of the user, besides who it is. Default: nothing.',
      properties: {
        claims: {
          type: 'array',
          maxItems: MAX_CONTEXT_CLAIMS,
          'x-kubernetes-list-type': 'set',
          items: { type: 'string', minLength: 2, maxLength: 256, pattern: '^/' },
          description:
            "claims lists JSON Pointers (RFC 6901) into the claims of the user's token, such as /tenant; each is in tctx of the internal token, where it was. Default: none.",
        },
      },
    },
  },
}
