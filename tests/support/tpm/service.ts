import { addAnchor, addReferenceValue, authoritiesWish } from '../attestation-inputs.ts'
import { startTestService, type TestService } from '../service.ts'
import { createTpmPolicy, tpmNamed, tpmReference } from './device.ts'
import { certifyEk } from './ek-authority.ts'

/** A service that trusts the authority of every test TPM, and has a policy `edge` for what `tpmReference` allows. */
export async function startTpmService(options?: Parameters<typeof startTestService>[0]): Promise<TestService> {
  const service = await startTestService(options)
  await trustTestTpms(service)
  await createTpmPolicy(service, 'edge')
  return service
}

/** For the organization of its admin token. */
export async function trustTestTpms(service: Pick<TestService, 'url' | 'adminToken'>): Promise<void> {
  await addAnchor(service, authoritiesWish(certifyEk(tpmNamed('any')).root))
  await addReferenceValue(service, { format: 'tpm2', name: 'boot', values: [tpmReference] })
}

let count = 0
/** With keys that no other has. */
export function newTpm() {
  return tpmNamed(`TPM ${++count}`)
}

/** The newest event of a type that is not in the log yet. */
export async function lastEvent({ database }: TestService, type: string) {
  const { rows } = await database.sql.query<{ entry: string }>(
    `select entry from audit_outbox where entry::jsonb ->> 'type' = $1 order by seq desc limit 1`,
    [type],
  )
  return rows[0] && JSON.parse(rows[0].entry)
}
