import type { Denial } from '../../model/verdict.ts'

/** No user is mapped for the caller, or another one than it asks for. */
export const DATABASE_USER_REFUSED: Denial = {
  name: 'database-user-refused',
  status: 403,
  title: 'The caller may not be this user of the database.',
}

/** The caller may be this user, in other databases. */
export const DATABASE_REFUSED: Denial = {
  name: 'database-refused',
  status: 403,
  title: 'The caller may not use this database.',
}

/** A replica is sent all that there is. No policy can allow that. */
export const REPLICATION_REFUSED: Denial = {
  name: 'replication-refused',
  status: 403,
  title: 'Nobody may replicate through the mesh.',
}
