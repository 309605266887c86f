import type { Client } from 'pg'

/** Of an exchange that takes over from a session, until that one is over. */
export const EVENTS_OF_EXCHANGE = 3

/** So many organizations, on whose names nothing depends; their ids. */
export async function makeOrganizations(client: Client, count: number): Promise<string[]> {
  const { rows } = await client.query<{ id: string }>(
    `insert into organization (id, name, created_at)
      select id, 'bench ' || id, now() from (select uuidv7() as id from generate_series(1, $1)) as ids returning id`,
    [count],
  )
  return rows.map(({ id }) => id)
}

/**
 * Puts the events of so many exchanges into the outbox behind the API, as the service writes them: canonical JSON, of a device each,
 * one after the other at these organizations. `fleet` says which devices: the same fleet is the same devices.
 */
export async function fillExchanges(
  client: Client,
  { organizations, fleet, count, at }: { organizations: readonly string[]; fleet: string; count: number; at: number },
): Promise<void> {
  await client.query(
    `insert into audit_outbox (organization_id, event_id, entry)
      select organization, id, format('{"actor":{"id":"%1$s","type":"device"},"at":%2$s,"data":%3$s,"id":"%4$s","organizationId":"%5$s",'
          || '"requestId":"%4$s","salt":"%6$s","severity":"info","subject":{"deviceId":"%1$s","sessionId":"%7$s"},"type":"%8$s","v":1}',
          device, $4::bigint, data, id, organization, rtrim(translate(encode(uuid_send(id), 'base64'), '+/', '-_'), '='), session, type)
      from (
        select md5($2 || i)::uuid as device, gen_random_uuid() as session, uuidv7() as id, type, data,
          ($1::uuid[])[1 + i % cardinality($1::uuid[])] as organization
        from generate_series(1, $3::int) as i, (values
          (1, 'session.opened', '{"bucket":5984394,"expiresAt":1795319880000,"network":"QmVuY2hOZXQ","suite":"ML-KEM-1024"}'),
          (2, 'session.superseded', '{"by":"0199b0a4-7e1c-8000-8000-000000000001"}'),
          (3, 'session.established', '{}')) as events (step, type, data)
        order by i, step) as exchanges`,
    [organizations, fleet, count, at],
  )
}
