import type { Pool } from 'pg'

/** Each changes the database once, in this order. Never edit one that was released: add another. */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE orders (
     id uuid PRIMARY KEY,
     user_id text NOT NULL,
     idempotency_key text NOT NULL,
     status text NOT NULL CHECK (status IN ('pending', 'paid', 'declined')),
     items jsonb NOT NULL,
     total_cents bigint NOT NULL CHECK (total_cents > 0),
     created_at timestamptz NOT NULL DEFAULT now(),
     address_kid text NOT NULL,
     address_nonce bytea NOT NULL,
     address_data bytea NOT NULL,
     card_kid text NOT NULL,
     card_nonce bytea NOT NULL,
     card_data bytea NOT NULL,
     UNIQUE (user_id, idempotency_key)
   )`,
  'CREATE INDEX orders_by_user ON orders (user_id, created_at DESC)',
]

/** Any number, the same in each replica: one of them migrates, the others wait. */
const LOCK = 7_234_811

/** Brings the database to the newest shape. May run any number of times, and from several replicas at once. */
export async function migrate(pool: Pool): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    await client.query('SELECT pg_advisory_xact_lock($1)', [LOCK])
    await client.query('CREATE TABLE IF NOT EXISTS migrations (number int PRIMARY KEY, at timestamptz DEFAULT now())')
    const { rows } = await client.query<{ done: number }>('SELECT count(*)::int AS done FROM migrations')
    const done = rows[0]?.done ?? 0
    for (const [i, statement] of MIGRATIONS.entries()) {
      if (i < done) continue
      await client.query(statement)
      await client.query('INSERT INTO migrations (number) VALUES ($1)', [i + 1])
    }
    await client.query('COMMIT')
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {})
    throw error
  } finally {
    client.release()
  }
}
