import { shownCertificates } from '../../contract/shown-certificates.ts'
import type { HostnamePattern } from '../../model/hostname.ts'
import { parseHostnamePattern } from '../../model/hostname.ts'
import type { Translation } from '../translate/translate.ts'

/**
 * The DNS names that a gateway may have a certificate for: the hostname of one of its own listeners that says so, as its
 * Gateway resource has it. Undefined when the caller is no gateway or has no such listener.
 */
export function servingNamesOf(
  translation: Translation | undefined,
  spiffeId: string,
  hostname: string,
): readonly HostnamePattern[] | undefined {
  for (const config of translation?.configs.values() ?? []) {
    if (config.role !== 'gateway' || config.identity.spiffeId !== spiffeId) continue
    const isIts = shownCertificates(config).some((one) => one.source === 'mesh' && one.hostname === hostname)
    const name = isIts ? parseHostnamePattern(hostname) : undefined
    if (name?.ok) return [name.value]
  }
  return undefined
}
