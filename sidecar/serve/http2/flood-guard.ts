/** What a peer did too much of. */
export type FloodKind =
  | 'resets'
  | 'settings'
  | 'pings'
  | 'empty-data'
  | 'window-updates'
  | 'priorities'
  | 'dribbles'
  | 'continuations'
  | 'header-bomb'
  | 'unread-answers'
