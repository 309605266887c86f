import type { Client } from 'pg'

/**
 * Puts events into the outbox behind the API, of the size that most events of the service have. They are canonical JSON, as
 * the sequencer wants them, and of the organization of the admin token, so that its auditor reads them.
 */
export async function fillOutbox(client: Client, organizationId: string, count: number): Promise<void> {
  await client.query(
    `insert into audit_outbox (organization_id, event_id, entry)
      select $1::uuid, id, format('{"actor":{"id":"%s","type":"device"},"at":%s,"data":{"bucket":5984394,"suite":"ML-KEM-1024"},'
        || '"id":"%s","organizationId":"%s","requestId":"%s","salt":"%s","severity":"info",'
        || '"subject":{"deviceId":"%s","sessionId":"%s"},"type":"session.established","v":1}',
        id, (extract(epoch from clock_timestamp()) * 1000)::bigint, id, $1::uuid, id,
        rtrim(translate(encode(uuid_send(id), 'base64'), '+/', '-_'), '='), id, id)
      from (select uuidv7() as id from generate_series(1, $2)) as ids`,
    [organizationId, count],
  )
}

export async function findOrganization(client: Client): Promise<string> {
  const { rows } = await client.query<{ id: string }>(`select id from organization where name = 'default'`)
  return (rows[0] as { id: string }).id
}

/** Entries that readers see. */
export async function readPublishedSize(client: Client): Promise<number> {
  const { rows } = await client.query<{ size: string }>('select published_size as size from audit_log_state')
  return Number(rows[0]?.size)
}
