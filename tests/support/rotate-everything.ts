import { createEventWriter } from '../../runtime/audit-events.ts'
import { KEK_OVERUSED } from '../../runtime/custody/kek-uses.ts'
import { createRootKeyWrapper } from '../../runtime/custody/wrapper.ts'
import { resealValues } from '../../workers/jobs/reseal-values.ts'
import { destroyUnusedKeks, makeKekVersions, type RotateKeksParts } from '../../workers/jobs/rotate-keks.ts'
import { createReserveKekUses } from '../../workers/reserve-kek-uses.ts'
import { signWhileAway } from './offline-root.ts'
import { DAY_MS, pass, rotate, rotationParts, times } from './rotation.ts'
import { crypto, type TestService } from './service.ts'

/** A whole life of every key that rotates, with one of each thing under a MAC that somebody exchanged meanwhile. */
export async function rotateEverything(service: TestService, rootKey: Uint8Array): Promise<void> {
  const atOnce = { bucket: 0, attestation: 0, audit: 0 }
  const ages = { bucket: DAY_MS, attestation: DAY_MS, audit: DAY_MS }
  const rotation = { ...times, overlap: atOnce, signingKeyAge: ages }
  const parts = rotationParts(service, { rotation })
  await pass(service, DAY_MS)
  await rotate(service, parts)
  const wrapper = createRootKeyWrapper(crypto, rootKey)
  const kekParts = { ...parts, wrapper, writeEvent: createEventWriter(crypto) }
  await useUpKek(service, kekParts)
  await makeKekVersions(kekParts, Number.MAX_SAFE_INTEGER, service.time.now)
  await service.serviceKeys.refresh()
  await exchangeStoredValues(service)
  await resealValues(kekParts, service.time.now)
  await pass(service, DAY_MS)
  await rotate(service, parts)
  await destroyUnusedKeks(kekParts, service.time.now)
  await pass(service, DAY_MS)
  await signWhileAway(service, rootKey, rotation)
}

async function useUpKek(service: TestService, parts: Pick<RotateKeksParts, 'database' | 'writeEvent'>): Promise<void> {
  await service.database.sql.query('update kek_version set uses = $1 where purpose = 4', [KEK_OVERUSED - 1])
  const clock = { now: () => service.time.now }
  await createReserveKekUses({ ...parts, clock })('challenge', 1, 1)
}

async function exchangeStoredValues({ database }: TestService): Promise<void> {
  await database.sql.query(
    `update identity_key set public_key = 'x' where kid = (select min(kid) from identity_key);
    update attester_state set state = '{"exchanged":true}'
      where principal_id = (select principal_id from attester_state order by principal_id limit 1)`,
  )
  const changes = {
    appraisal_policy: `body = body || ' '`,
    reference_value: `created_at = created_at - interval '1 day'`,
    collateral: `created_at = created_at - interval '1 day'`,
    trust_anchor: `created_at = created_at - interval '1 day'`,
  }
  for (const [table, change] of Object.entries(changes)) {
    await database.sql.query(
      `alter table ${table} disable trigger user; update ${table} set ${change}; alter table ${table} enable trigger user`,
    )
  }
}
