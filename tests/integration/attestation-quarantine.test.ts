import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { call, initiate, openExchange, sendExchange, stored } from '../support/api.ts'
import { attest, bindingOf, signAttestation, startAttestation, submitAttestation } from '../support/attestation.ts'
import { databaseContents, expectRefusal } from '../support/refusals.ts'
import { listen } from '../support/revocation-listener.ts'
import { askKeys, enterService, exchangeAgain, makeFederation, openAnswer, openRound } from '../support/rounds.ts'
import type { TestService } from '../support/service.ts'
import { enrollTpm, enterWithTpm, otherPcrs, quoteOf } from '../support/tpm/device.ts'
import { lastEvent, newTpm, startTpmService } from '../support/tpm/service.ts'

let service: TestService
beforeAll(async () => {
  service = await startTpmService()
})
afterAll(() => service.close())

async function begin() {
  const tpm = newTpm()
  const party = await enterWithTpm(service, tpm, 'edge')
  const started = await startAttestation(service, party)
  const quote = (wish?: Parameters<typeof quoteOf>[2]) => quoteOf(tpm, bindingOf(party, started), wish)
  const submit = (body: unknown) => submitAttestation(service, party, started.attestationId, body)
  return { tpm, party, started, quote, submit }
}

const eventsOf = async (deviceId: string) => (await stored(service, deviceId)).events
const statesOf = async (deviceId: string) => (await stored(service, deviceId)).sessions.map(({ state }) => state)
const rowOf = async (deviceId: string) => {
  const { rows } = await service.database.sql.query('select * from principal where id = $1', [deviceId])
  return rows[0]
}

describe('evidence that speaks against a device', () => {
  test('quarantines it with its sessions, in an answer that says so, and touches nobody else', async () => {
    const { party, started, quote, submit } = await begin()
    const neighbour = await enterWithTpm(service, newTpm(), 'edge')
    const untouched = await rowOf(neighbour.deviceId)
    await openExchange(service, party)
    const { status, body } = await submit(signAttestation(party, started, [quote({ pcrs: otherPcrs })]))
    expect({ status, body }).toMatchObject({
      status: 200,
      body: { status: 'QUARANTINED', attestation: { tier: 'contraindicated', policyId: 'edge@1' } },
    })
    expect(body.nextAttestationAt).toBeUndefined()
    expect(await statesOf(party.deviceId)).toEqual(['REVOKED', 'REVOKED'])
    expect(await rowOf(party.deviceId)).toMatchObject({
      status: 'QUARANTINED',
      active_session_id: null,
      pending_session_ids: [],
      next_attestation_at: null,
    })
    expect(await eventsOf(party.deviceId)).toMatchObject({
      'device.attested': 1,
      'session.revoked': 2,
      'device.quarantined': 1,
    })
    expect(await lastEvent(service, 'device.quarantined')).toMatchObject({
      severity: 'critical',
      subject: { deviceId: party.deviceId },
      data: { attestationId: body.attestation.id, policyId: 'edge@1', checks: ['tpm2.pcrs'], sessions: 2 },
    })
    expect(await rowOf(neighbour.deviceId)).toEqual(untouched)
    expect(await statesOf(neighbour.deviceId)).toEqual(['ACTIVE'])
  })

  test('leaves it refused: its token, its exchanges, its attestations, and its TPM with another token', async () => {
    const { tpm, party, started, quote, submit } = await begin()
    const signed = await initiate(service, party)
    const body = signAttestation(party, started, [quote({ pcrs: otherPcrs })])
    expect((await submit(body)).body.status).toBe('QUARANTINED')
    expectRefusal(await submit(body), 401, 'unauthenticated')
    const again = await call(service, 'POST', '/v1/attestations', { token: party.accessToken, body: {} })
    expectRefusal(again, 401, 'unauthenticated')
    expectRefusal(await sendExchange(service, signed.wire), 401, 'exchange_refused')
    expectRefusal((await enrollTpm(service, tpm, 'edge')).answer, 403, 'evidence_refused', 'evidence')
    const resume = `/v1/devices/${party.deviceId}/resume`
    const resumed = await call(service, 'POST', resume, { token: service.adminToken, body: {} })
    expectRefusal(resumed, 409, 'session_state')
  })

  test('takes it out of the rounds, which go on with the others', async () => {
    const { party, started, quote, submit } = await begin()
    const coordinator = await enterService(service, 'coordinator')
    const other = await enterWithTpm(service, newTpm(), 'edge')
    const federation = await makeFederation(service, coordinator, [party, other])
    const round = await openRound(service, coordinator, federation)
    await submit(signAttestation(party, started, [quote({ pcrs: otherPcrs })]))
    const opened = openAnswer(coordinator, federation, round, await askKeys(service, coordinator, round))
    expect(opened.keys.map(({ deviceId }) => deviceId)).toEqual([other.deviceId])
    expect(opened.refused).toEqual({ [party.deviceId]: 'quarantined' })
  })

  test('is told at once to the coordinator of its federation, and so is its clearance', async () => {
    const { tpm, party, started, quote, submit } = await begin()
    const coordinator = await enterService(service, 'coordinator')
    await makeFederation(service, coordinator, [party])
    const listener = await listen(service, coordinator.accessToken)
    await listener.until('snapshot')
    await submit(signAttestation(party, started, [quote({ pcrs: otherPcrs })]))
    await listener.until('change')
    const path = `/v1/devices/${party.deviceId}/clear-quarantine`
    await call(service, 'POST', path, { token: service.adminToken, body: {} })
    await listener.until('change', 2)
    expect(listener.changes()).toEqual([
      [party.deviceId, 'QUARANTINED'],
      [party.deviceId, 'ACTIVE'],
    ])
    await listener.close()
    const again = await attest(service, await exchangeAgain(service, party), (binding) => [quoteOf(tpm, binding)])
    expect(again.body).toMatchObject({ status: 'ACTIVE', attestation: { tier: 'affirming' } })
  })

  test('twenty times at once is one quarantine, and who was heard is told the same', async () => {
    const { party, started, quote, submit } = await begin()
    const body = signAttestation(party, started, [quote({ pcrs: otherPcrs })])
    const answers = await Promise.all(Array.from({ length: 20 }, () => submit(body)))
    const heard = answers.filter(({ status }) => status === 200)
    expect(heard.length).toBeGreaterThan(0)
    expect(answers.filter(({ status }) => ![200, 401].includes(status))).toEqual([])
    for (const { body: told } of heard) expect(told).toEqual({ ...heard[0]?.body, status: 'QUARANTINED' })
    expect(await eventsOf(party.deviceId)).toMatchObject({ 'device.attested': 1, 'device.quarantined': 1 })
  })

  test('is stored with its events or not at all', async () => {
    const { party, started, quote, submit } = await begin()
    const body = signAttestation(party, started, [quote({ pcrs: otherPcrs })])
    const before = await databaseContents(service)
    const { sql } = service.database
    await sql.query('revoke insert on audit_outbox from qflare_api')
    try {
      expectRefusal(await submit(body), 503, 'unavailable')
      expect(await databaseContents(service)).toEqual(before)
    } finally {
      await sql.query('grant insert on audit_outbox to qflare_api')
    }
    expect((await submit(body)).body.status).toBe('QUARANTINED')
  })

  test('but without the signature of the identity key quarantines nobody', async () => {
    const { party, started, quote, submit } = await begin()
    const bad = [quote({ pcrs: otherPcrs })]
    const stranger = await enterService(service)
    const wrong = signAttestation(party, started, bad, { signer: stranger.identityKey })
    expectRefusal(await submit(wrong), 401, 'attestation_refused')
    const swapped = { ...signAttestation(party, started, [quote()]), evidence: bad }
    expectRefusal(await submit(swapped), 401, 'attestation_refused')
    expect(await rowOf(party.deviceId)).toMatchObject({ status: 'ACTIVE', active_session_id: party.sessionId })
    expect((await submit(signAttestation(party, started, [quote()]))).body.status).toBe('ACTIVE')
  })
})

describe('evidence of another time', () => {
  test('that was good for the challenge before is bound to that one', async () => {
    const { party, started, quote, submit } = await begin()
    const old = quote()
    await submit(signAttestation(party, started, [old]))
    const answer = await attest(service, party, () => [old])
    expect(answer.body).toMatchObject({ status: 'QUARANTINED', attestation: { tier: 'contraindicated' } })
    expect(await lastEvent(service, 'device.quarantined')).toMatchObject({ data: { checks: ['tpm2.binding'] } })
  })

  test('that was good for the session before is bound to that one', async () => {
    const { party, quote } = await begin()
    const newer = await exchangeAgain(service, party)
    const answer = await attest(service, newer, () => [quote()])
    expect(answer.body.status).toBe('QUARANTINED')
  })

  test('from before a reset of the TPM is told from later: its counters only go on', async () => {
    const { tpm, party } = await begin()
    const quoteAfter = (resetCount: number) => (binding: Uint8Array) => {
      const changed = {
        ...tpm,
        quote: (given: Parameters<typeof tpm.quote>[0]) => tpm.quote({ ...given, changes: { resetCount } }),
      }
      return [quoteOf(changed, binding)]
    }
    expect((await attest(service, party, quoteAfter(9))).body.status).toBe('ACTIVE')
    expect((await attest(service, party, quoteAfter(9))).body.status).toBe('ACTIVE')
    expect((await attest(service, party, quoteAfter(8))).body.status).toBe('QUARANTINED')
    expect(await lastEvent(service, 'device.quarantined')).toMatchObject({ data: { checks: ['tpm2.reset_count'] } })
  })
})

describe('two devices that swap', () => {
  test('their evidence: B with what A made for its own challenge', async () => {
    const [a, b] = [await begin(), await begin()]
    expect((await b.submit(signAttestation(b.party, b.started, [a.quote()]))).body.status).toBe('QUARANTINED')
    expect(await lastEvent(service, 'device.quarantined')).toMatchObject({ data: { checks: ['tpm2.known_ak'] } })
    expect((await a.submit(signAttestation(a.party, a.started, [a.quote()]))).body.status).toBe('ACTIVE')
  })

  test('their TPMs: B with a quote of the TPM of A that is bound to B', async () => {
    const [a, b] = [await begin(), await begin()]
    const evidence = [quoteOf(a.tpm, bindingOf(b.party, b.started))]
    expect((await b.submit(signAttestation(b.party, b.started, evidence))).body.status).toBe('QUARANTINED')
  })

  test('their identity keys: B in its session, signed by A', async () => {
    const [a, b] = [await begin(), await begin()]
    const signed = signAttestation(b.party, b.started, [b.quote()], { signer: a.party.identityKey })
    expectRefusal(await b.submit(signed), 401, 'attestation_refused')
    const bound = [quoteOf(b.tpm, bindingOf({ ...b.party, identityKey: a.party.identityKey }, b.started))]
    expect((await b.submit(signAttestation(b.party, b.started, bound))).body.status).toBe('QUARANTINED')
  })

  test('their challenges: B with that of A, under its own id or that of A', async () => {
    const [a, b] = [await begin(), await begin()]
    const before = await databaseContents(service)
    const crossed = { ...b.started, challenge: a.started.challenge }
    const body = signAttestation(b.party, crossed, [quoteOf(b.tpm, bindingOf(b.party, crossed))])
    expectRefusal(await submitAttestation(service, b.party, a.started.attestationId, body), 404, 'not_found')
    expect(await databaseContents(service)).toEqual(before)
    expectRefusal(await b.submit(body), 401, 'attestation_refused')
    expect((await rowOf(b.party.deviceId)).status).toBe('ACTIVE')
  })
})
