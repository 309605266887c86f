import { afterAll, beforeAll, expect, test } from 'vitest'
import { ATTESTATION_INTERVAL_MS } from '../../protocol/attestation/intervals.ts'
import { SESSION_MS } from '../../protocol/exchange/session-states.ts'
import { endSessions } from '../../workers/jobs/end-sessions.ts'
import { call, establish } from '../support/api.ts'
import { attest } from '../support/attestation.ts'
import type { TestParty } from '../support/rounds.ts'
import type { TestService } from '../support/service.ts'
import { enterWithTpm, quoteOf } from '../support/tpm/device.ts'
import { newTpm, startTpmService } from '../support/tpm/service.ts'

/** When a device has to have attested: its attestations say so, not its sessions. */

let service: TestService
beforeAll(async () => {
  service = await startTpmService()
})
afterAll(() => service.close())

async function begin() {
  const tpm = newTpm()
  return { tpm, party: await enterWithTpm(service, tpm, 'edge') }
}

async function dueOf({ deviceId }: TestParty): Promise<number | undefined> {
  const text = 'select next_attestation_at as at from principal where id = $1'
  const { rows } = await service.database.sql.query(text, [deviceId])
  return rows[0].at?.getTime()
}

const anInterval = () => service.time.now + ATTESTATION_INTERVAL_MS

async function endWith({ sessionId }: TestParty, token: string): Promise<void> {
  expect((await call(service, 'DELETE', `/v1/sessions/${sessionId}`, { token })).status).toBe(204)
}

test.each<[string, (party: TestParty) => Promise<void>]>([
  ['that supersede each other', async () => undefined],
  ['of which the device ends each itself', (party) => endWith(party, party.accessToken)],
  ['of which an operator ends each', (party) => endWith(party, service.adminToken)],
])('sessions %s put what is due no further off than the first of them', async (_, end) => {
  const { tpm, party } = await begin()
  const due = anInterval()
  expect(await dueOf(party)).toBe(due)
  let latest = party
  for (let more = 0; more < 3; more++) {
    service.time.now += 20_000
    await end(latest)
    latest = { ...party, ...(await establish(service, party)) }
    expect(await dueOf(party)).toBe(due)
  }
  service.time.now += 1_000
  expect((await attest(service, latest, (binding) => [quoteOf(tpm, binding)])).status).toBe(200)
  expect(await dueOf(party)).toBe(anInterval())
})

test.each<[string, () => Promise<unknown>]>([
  ['not written down yet', async () => undefined],
  [
    'written down',
    () => {
      const worker = service.database.open('qflare_worker')
      return endSessions({ database: worker, writeEvent: service.log.options.writeEvent }, service.time.now)
    },
  ],
])('a session that follows one which time has ended, %s, begins anew', async (_, writeDown) => {
  const { party } = await begin()
  service.time.now += SESSION_MS
  await service.tick()
  await writeDown()
  await establish(service, party)
  expect(await dueOf(party)).toBe(anInterval())
})
