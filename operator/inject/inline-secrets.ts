import { type Issue, issue } from '../../model/result.ts'
import { secretIn } from '../resources/secret-texts.ts'
import { containersOf } from './pod-containers.ts'
import type { PodObject } from './pod-object.ts'

/**
 * Secrets that stand in a pod itself, where everybody reads them who may read pods, and where no rotation reaches them: in
 * variables, by their name or by what they hold, and in commands and arguments, by what they hold. A value is never told.
 *
 * Narrow on purpose (docs/adr/0093): what is found here is refused. What names another place is no secret: a path, a
 * reference, `valueFrom`.
 */
export function inlineSecrets(pod: PodObject): readonly Issue[] {
  const issues: Issue[] = []
  const found = (path: string, message: string) => {
    const fix = 'put it into a Secret, mount that, and name the file; make a new one, since this one was shown'
    issues.push(issue('inline-secret', path, message, fix))
  }
  for (const { container, path } of containersOf(pod)) {
    for (const [i, { name, value }] of (container.env ?? []).entries()) {
      if (value === undefined) continue
      const held =
        secretIn(value.replaceAll(VARIABLES, '')) ?? (isSecretByName(name, value) ? 'is a secret' : undefined)
      if (held !== undefined) found(`${path}.env[${i}].value`, `${held}, written into the variable ${name}`)
    }
    for (const list of ['command', 'args'] as const) {
      const words = container[list]
      if (!Array.isArray(words)) continue
      for (const [i, word] of words.entries()) {
        const held = typeof word === 'string' ? secretIn(word.replaceAll(VARIABLES, '')) : undefined
        if (held !== undefined) found(`${path}.${list}[${i}]`, `${held}, for everybody who sees the processes`)
      }
    }
  }
  return issues
}

/** The last word of a variable's name. `DB_PASSWORD_FILE` and `TOKEN_URL` end in another. */
const PASSWORD = /(?:^|[._-])(?:password|passwd|passphrase)$/i
const KEY =
  /(?:^|[._-])(?:secret|token|api[._-]?key|access[._-]?key|private[._-]?key|signing[._-]?key|encryption[._-]?key)$/i

/** `$(NAME)`: the kubelet puts another variable in. */
const VARIABLES = /\$\([A-Za-z_][\w.-]*\)/g

/** What says where a secret is, or whether there is one. */
const NO_SECRETS: readonly RegExp[] = [
  // Nothing, or nothing but another variable.
  /^\s*$/,
  // A placeholder that the program or the template fills in.
  /^(?:\$\{[^{}]*\}|\{\{[^{}]*\}\})$/,
  /^(?:true|false|yes|no|on|off|[01])$/i,
  // A path of at least two segments.
  /^\.{0,2}(?:\/[\w.-]+){2,}$/,
  // What a program is to ask for it: a file, a store of secrets.
  /^(?:file|vault|op|arn|ref\+[a-z0-9]+):/,
]

/** A name such as `orders-db-credentials-v2`: letters, and digits at the end of a word only. Random text has them anywhere. */
const WORDS = /^[a-z]+[0-9]{0,3}(?:[-._][a-z]+[0-9]{0,3})*$/i
const MIN_KEY_LENGTH = 16

/** Any password counts. A token or a key counts when it is as long as one, and no name of one. */
function isSecretByName(name: string, value: string): boolean {
  const text = value.replaceAll(VARIABLES, '')
  if (NO_SECRETS.some((pattern) => pattern.test(text))) return false
  if (PASSWORD.test(name)) return true
  return KEY.test(name) && text.length >= MIN_KEY_LENGTH && /^\S+$/.test(text) && !WORDS.test(text)
}
