import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Database, Statement } from '../../database/open.ts'
import { attestationBinding } from '../../protocol/enrollment.ts'
import { type Answer, call, establish, makeIdentity } from '../support/api.ts'
import { attest, bindingOf, signAttestation, startAttestation, submitAttestation } from '../support/attestation.ts'
import { completeRotation, signRotation, startRotation } from '../support/identity-rotation.ts'
import type { TestParty } from '../support/rounds.ts'
import { crypto, type TestService } from '../support/service.ts'
import { createTpmPolicy, enterWithTpm, otherPcrs, quoteOf } from '../support/tpm/device.ts'
import { newTpm, startTpmService } from '../support/tpm/service.ts'
import type { SoftwareTpm } from '../support/tpm/software-tpm.ts'

/** What most of a fleet asks for takes a look-up and a write, and between the two anything may happen. */

let service: TestService
let tpm: SoftwareTpm
let party: TestParty
/** Of the API, by the name of the first statement behind the scope. */
let sent: string[] = []
let transactions = 0
let interrupted: { before: string; by: () => Promise<unknown> } | undefined

beforeAll(async () => {
  service = await startTpmService({ wrapDatabase: watched })
})
afterAll(() => service.close())
beforeEach(async () => {
  await service.tick()
  tpm = newTpm()
  party = await enterWithTpm(service, tpm, 'edge')
  sent = []
  transactions = 0
  interrupted = undefined
})

function watched(database: Database): Database {
  return {
    ...database,
    async sendTransaction(scope, statements: readonly Statement[]) {
      const name = statements[0]?.name ?? ''
      sent.push(name)
      if (interrupted?.before === name) {
        const { by } = interrupted
        interrupted = undefined
        await by()
      }
      return database.sendTransaction(scope, statements)
    },
    withOrganization(organizationId, work, kind) {
      transactions++
      return database.withOrganization(organizationId, work, kind)
    },
  }
}

/** Once, when a statement of this name is about to be sent, this happens first. */
function interrupt(before: 'store_reattestation' | 'give_attestation_challenge', by: () => Promise<unknown>): void {
  interrupted = { before, by }
}

const attestNow = (by = party) => attest(service, by, (binding) => [quoteOf(tpm, binding)])
const admin = (method: string, path: string) => call(service, method, path, { token: service.adminToken, body: {} })

async function rotateKey(): Promise<void> {
  const started = await startRotation(service, party, party.accessToken)
  const { identityKey } = makeIdentity()
  const { alg, publicKey } = identityKey
  const binding = attestationBinding(crypto, { challenge: started.challenge, alg, publicKey, sessionId: undefined })
  const body = signRotation(party, started, identityKey, { evidence: [quoteOf(tpm, binding)] })
  const { status } = await completeRotation(service, party.deviceId, started.challengeId, body)
  expect(status).toBe(200)
}

async function resultsOf({ deviceId } = party): Promise<{ session_id: string | null; tier: string }[]> {
  const sql = 'select session_id, tier from attestation_result where principal_id = $1 and session_id is not null'
  return (await service.database.sql.query(sql, [deviceId])).rows
}

async function eventsOf(type: string, { deviceId } = party): Promise<number> {
  const sql = `select count(*)::int as count from audit_outbox
    where entry::jsonb ->> 'type' = $1 and entry::jsonb #>> '{subject,deviceId}' = $2`
  return (await service.database.sql.query(sql, [type, deviceId])).rows[0].count
}

test('a usual attestation is a look-up and a write for each of its two steps, and no transaction of several turns', async () => {
  expect((await attestNow()).body.attestation.tier).toBe('affirming')
  expect(sent).toEqual([
    'select_attesting_principal',
    'give_attestation_challenge',
    'select_attesting_principal',
    'store_reattestation',
  ])
  expect(transactions).toBe(0)
  expect(await resultsOf()).toEqual([{ session_id: party.sessionId, tier: 'affirming' }])
})

test('evidence that speaks against its device stores nothing on that way, and quarantines it', async () => {
  const answer = await attest(service, party, (binding) => [quoteOf(tpm, binding, { pcrs: otherPcrs })])
  expect([answer.body.status, answer.body.attestation.tier]).toEqual(['QUARANTINED', 'contraindicated'])
  expect(sent).not.toContain('store_reattestation')
  expect(await resultsOf()).toEqual([{ session_id: party.sessionId, tier: 'contraindicated' }])
})

test('a token whose session is over is refused at both steps, and gets no answer again', async () => {
  const started = await startAttestation(service, party)
  const body = signAttestation(party, started, [quoteOf(tpm, bindingOf(party, started))])
  expect((await submitAttestation(service, party, started.attestationId, body)).status).toBe(200)
  expect((await submitAttestation(service, party, started.attestationId, body)).status).toBe(200)
  expect((await admin('DELETE', `/v1/sessions/${party.sessionId}`)).status).toBe(204)
  const asked = await call(service, 'POST', '/v1/attestations', { token: party.accessToken, body: {} })
  const answers = [asked, await submitAttestation(service, party, started.attestationId, body)]
  expect(answers.map(({ status, body: { code } }) => [status, code])).toEqual([
    [401, 'unauthenticated'],
    [401, 'unauthenticated'],
  ])
})

describe('when, between look-up and write,', () => {
  const refused: [string, () => Promise<unknown>, Pick<Answer, 'status'> & { code: string }][] = [
    [
      'the device is revoked',
      () => admin('POST', `/v1/devices/${party.deviceId}/revoke`),
      { status: 401, code: 'unauthenticated' },
    ],
    [
      'the device is suspended',
      () => admin('POST', `/v1/devices/${party.deviceId}/suspend`),
      { status: 401, code: 'unauthenticated' },
    ],
    [
      'the session is ended',
      () => admin('DELETE', `/v1/sessions/${party.sessionId}`),
      { status: 401, code: 'unauthenticated' },
    ],
    ['a newer session takes over', () => establish(service, party), { status: 409, code: 'session_state' }],
    ['the device gets another key', rotateKey, { status: 401, code: 'unauthenticated' }],
  ]

  test.each(refused)('%s, nothing is stored', async (_what, happens, expected) => {
    const before = await eventsOf('device.attested')
    interrupt('store_reattestation', happens)
    const answer = await attestNow()
    expect({ status: answer.status, code: answer.body.code }).toEqual(expected)
    expect([await resultsOf(), await eventsOf('device.attested')]).toEqual([[], before])
  })

  test.each(refused)('%s, no challenge is given', async (_what, happens, expected) => {
    const before = await eventsOf('device.attestation_challenged')
    interrupt('give_attestation_challenge', happens)
    const answer = await call(service, 'POST', '/v1/attestations', { token: party.accessToken, body: {} })
    expect({ status: answer.status, code: answer.body.code }).toEqual(expected)
    expect(await eventsOf('device.attestation_challenged')).toBe(before)
  })

  test('the same submission comes a second time, both get the answer of one result', async () => {
    const started = await startAttestation(service, party)
    const body = signAttestation(party, started, [quoteOf(tpm, bindingOf(party, started))])
    const submit = () => submitAttestation(service, party, started.attestationId, body)
    let second: Answer | undefined
    interrupt('store_reattestation', async () => {
      second = await submit()
    })
    const first = await submit()
    expect([first.status, second?.status]).toEqual([200, 200])
    expect(first.body).toEqual(second?.body)
    expect([await resultsOf(), await eventsOf('device.attested')]).toHaveLength(2)
    expect(await resultsOf()).toHaveLength(1)
    expect(await eventsOf('device.attested')).toBe(1)
  })

  test('another submission for the same challenge comes, one of the two is taken', async () => {
    const started = await startAttestation(service, party)
    const submit = () => {
      const body = signAttestation(party, started, [quoteOf(tpm, bindingOf(party, started))])
      return submitAttestation(service, party, started.attestationId, body)
    }
    let second: Answer | undefined
    interrupt('store_reattestation', async () => {
      second = await submit()
    })
    const first = await submit()
    expect([first.body.code, second?.status]).toEqual(['challenge_expired', 200])
    expect(await resultsOf()).toHaveLength(1)
  })

  test('a challenge is given to another request, both get that one', async () => {
    let second: Awaited<ReturnType<typeof startAttestation>> | undefined
    interrupt('give_attestation_challenge', async () => {
      second = await startAttestation(service, party)
    })
    expect(await startAttestation(service, party)).toEqual(second)
    expect(await eventsOf('device.attestation_challenged')).toBe(1)
  })

  test('the attester is let go of, the transaction says what becomes of the evidence', async () => {
    interrupt('store_reattestation', () =>
      service.database.sql.query('update attester_state set released_at = now() where principal_id = $1', [
        party.deviceId,
      ]),
    )
    expect((await attestNow()).status).toBe(200)
    expect(transactions).toBe(1)
    expect(await resultsOf()).toHaveLength(1)
  })

  test('the policy of the device becomes another, that one decides', async () => {
    const strict = { rules: { bank: 'sha384' }, referenceValues: ['boot'] }
    await createTpmPolicy(service, 'strict', { evidence: { tpm2: strict } })
    interrupt('store_reattestation', () =>
      service.database.sql.query(`update principal set policy_id = 'strict' where id = $1`, [party.deviceId]),
    )
    expect((await attestNow()).body.attestation).toMatchObject({ tier: 'contraindicated', policyId: 'strict@1' })
    expect(await resultsOf()).toHaveLength(1)
  })
})

test('a device that has to attest for an incident has done so, whichever way its evidence goes', async () => {
  const { sql } = service.database
  const requiredOf = async () =>
    (await sql.query('select attestation_required_since as since from principal where id = $1', [party.deviceId])).rows
  for (const isUsual of [true, false]) {
    await sql.query('update principal set attestation_required_since = now() where id = $1', [party.deviceId])
    if (!isUsual) {
      interrupt('store_reattestation', () =>
        sql.query('update principal set key_generation = key_generation + 1 where id = $1', [party.deviceId]),
      )
    }
    transactions = 0
    expect((await attestNow()).status).toBe(200)
    expect(transactions > 0).toBe(!isUsual)
    expect(await requiredOf()).toEqual([{ since: null }])
  }
})
