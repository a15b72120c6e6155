import type { RequestView } from '../../model/request.ts'
import type { OidcConfig } from './config.ts'
import type { Place } from './flow.ts'

/** The paths that are the policy's own: no application behind it gets to see requests for them. */
export function placeOf({ paths }: Pick<OidcConfig, 'paths'>): (request: RequestView) => Place | undefined {
  const places = new Map<string, Place>([
    [paths.callback, 'callback'],
    [paths.login, 'login'],
    [paths.logout, 'logout'],
    [paths.backChannelLogout, 'back-channel-logout'],
  ])
  return ({ path }) => places.get(path)
}
