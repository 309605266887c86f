import { memoryInputs } from '../memory-inputs.ts'
import { startTestService, type TestService } from '../service.ts'
import { createTpmPolicy, tpmNamed, tpmReference } from './device.ts'
import { anchorOf, certifyEk } from './ek-authority.ts'

/** A service that trusts the authority of every test TPM, and has a policy `edge` for what `tpmReference` allows. */
export async function startTpmService(options?: Parameters<typeof startTestService>[0]): Promise<TestService> {
  const service = await startTestService(options)
  const always = { from: 0, until: Number.POSITIVE_INFINITY }
  memoryInputs.anchors = [{ ...always, ...anchorOf(certifyEk(tpmNamed('any')).root) }]
  memoryInputs.values = [{ ...always, name: 'boot', format: 'tpm2', value: tpmReference }]
  await createTpmPolicy(service, 'edge')
  return service
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
