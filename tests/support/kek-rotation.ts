import { openDevice, type QflareDevice } from '../../client/device.ts'
import { enrollDevice } from '../../client/enroll-device.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import { readKeyState } from '../../database/repositories/service-keys.ts'
import { createEventWriter } from '../../runtime/audit-events.ts'
import { macIdentityKey } from '../../runtime/custody/identity-key-mac.ts'
import { followServiceKeys, type LiveServiceKeys } from '../../runtime/custody/live-service-keys.ts'
import { createRootKeyWrapper } from '../../runtime/custody/wrapper.ts'
import { newId } from '../../runtime/ids.ts'
import { createLogger } from '../../runtime/logger.ts'
import type { rotateOldKeks } from '../../workers/jobs/rotate-keks.ts'
import { readServiceKeys } from '../../workers/open-service-keys.ts'
import { createToken } from './api.ts'
import { firstOrganization } from './audit.ts'
import { times } from './rotation.ts'
import { crypto, startTestService, type TestService } from './service.ts'

/** Whatever its age. */
export const always = Number.MAX_SAFE_INTEGER

/** A service, and a worker process beside it whose jobs rotate: each follows the keys by itself. */
export interface KekRotation {
  service: TestService
  workerKeys: LiveServiceKeys
  parts: Parameters<typeof rotateOldKeks>[0]
  enrol(): Promise<QflareDevice>
  select<T>(text: string, values?: unknown[]): Promise<T[]>
  /** As in `2 1 RETIRED`: purpose, version, status. */
  statuses(): Promise<string[]>
  eventsOf(type: string): Promise<{ subject: Record<string, unknown>; data: Record<string, unknown> }[]>
  close(): Promise<void>
}

export async function openKekRotation(): Promise<KekRotation> {
  const rootKey = crypto.randomBytes(32)
  const wrapper = createRootKeyWrapper(crypto, rootKey)
  const logger = createLogger('silent')
  const service = await startTestService({ rootKey })
  const database = service.database.open('qflare_worker', 2)
  const workerKeys = await followServiceKeys({
    crypto,
    wrapper,
    logger,
    readState: () => database.withoutOrganization(readKeyState),
    readKeys: () => readServiceKeys(database),
    reserveUses: undefined,
  })
  const { keyring, refresh: refreshKeys } = workerKeys
  const writeEvent = createEventWriter(crypto)
  async function select<T>(text: string, values: unknown[] = []): Promise<T[]> {
    return (await service.database.sql.query(text, values)).rows as T[]
  }
  return {
    service,
    workerKeys,
    parts: { database, wrapper, keyring, crypto, writeEvent, rotation: times, refreshKeys, logger },
    async enrol() {
      const store = createMemoryStore()
      const now = () => service.time.now
      const { token } = await createToken(service)
      await enrollDevice({ url: service.url, token, name: 'edge', store, now })
      return openDevice({ store, now })
    },
    select,
    async statuses() {
      const rows = await select<{ row: string }>(
        `select concat_ws(' ', purpose, version, status) as row from kek_version order by purpose, version`,
      )
      return rows.map(({ row }) => row)
    },
    async eventsOf(type) {
      const rows = await select<{ event: Awaited<ReturnType<KekRotation['eventsOf']>>[number] }>(
        `select entry::jsonb as event from audit_outbox where entry::jsonb ->> 'type' = $1 order by seq`,
        [type],
      )
      return rows.map(({ event }) => event)
    },
    async close() {
      workerKeys.close()
      await service.close()
    },
  }
}

/** So many devices, made by hand, each with a good MAC. */
export async function addDevices(service: TestService, count: number): Promise<void> {
  const organizationId = await firstOrganization(service)
  const rows = Array.from({ length: count }, (_, i) => {
    const key = {
      organizationId,
      principalId: newId(),
      kid: `kid-${i}`,
      alg: 'ML-DSA-44',
      publicKey: crypto.randomBytes(8),
    } as const
    return { ...key, ...macIdentityKey(service.serviceKeys.keyring, key) }
  })
  const ids = rows.map(({ principalId }) => principalId)
  await service.database.sql.query(
    `insert into principal (organization_id, id, kind, name, status, spiffe_id, metadata, created_at)
      select $1, id, 'device', 'x', 'ACTIVE', 'x', '{}', now() from unnest($2::uuid[]) as id`,
    [organizationId, ids],
  )
  await service.database.sql.query(
    `insert into identity_key (organization_id, kid, principal_id, alg, public_key, status, mac, mac_key_version, created_at)
      select $1, kid, id, 'ML-DSA-44', public_key, 'ACTIVE', mac, 1, now()
        from unnest($2::text[], $3::uuid[], $4::bytea[], $5::bytea[]) as t (kid, id, public_key, mac)`,
    [
      organizationId,
      rows.map(({ kid }) => kid),
      ids,
      rows.map(({ publicKey }) => Buffer.from(publicKey)),
      rows.map(({ mac }) => Buffer.from(mac)),
    ],
  )
}
