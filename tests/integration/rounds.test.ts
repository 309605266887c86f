import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { toBase64url } from '../../protocol/encoding.ts'
import { parseRoundCertificateFile } from '../../protocol/rounds/round-certificate.ts'
import { verifyRoundCertificate } from '../../protocol/rounds/verify-round-certificate.ts'
import { newId } from '../../runtime/ids.ts'
import { call, createToken } from '../support/api.ts'
import { expectRefusal } from '../support/refusals.ts'
import {
  askKeys,
  enterService,
  makeFederation,
  openAnswer,
  openRound,
  type TestFederation,
  type TestParty,
} from '../support/rounds.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'
import { eventsOf, makeApiToken, makeTenant } from '../support/tenants.ts'

let service: TestService
let coordinator: TestParty
let devices: TestParty[]
let federation: TestFederation

beforeAll(async () => {
  service = await startTestService()
  coordinator = await enterService(service, 'coordinator')
  devices = [await enterService(service), await enterService(service), await enterService(service)]
})
afterAll(() => service.close())
beforeEach(async () => {
  federation = await makeFederation(service, coordinator, devices)
})

const as = (token: string, method: string, path: string, body?: object) => call(service, method, path, { token, body })
const asCoordinator = (method: string, path: string, body?: object) => as(coordinator.accessToken, method, path, body)
const close = (round: { path: string }, body: object = {}) => asCoordinator('POST', `${round.path}/close`, body)
const ids = () => devices.map(({ deviceId }) => deviceId)
const roundWithKeys = async (wish: { minParticipants?: number } = {}) => {
  const round = await openRound(service, coordinator, federation, wish)
  expect((await askKeys(service, coordinator, round)).status).toBe(200)
  return round
}

describe('rounds', () => {
  test('count up, and two that are opened at once have numbers of their own', async () => {
    const opened = await Promise.all([1, 2, 3, 4, 5].map(() => openRound(service, coordinator, federation)))
    expect(opened.map(({ round }) => round).toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5])
    expect((await openRound(service, coordinator, federation, { round: 40 })).round).toBe(40)
    for (const round of [40, 39, 1]) {
      expectRefusal(await asCoordinator('POST', `${federation.path}/rounds`, { round }), 409, 'round_state')
    }
    expectRefusal(await asCoordinator('POST', `${federation.path}/rounds`, { round: 0 }), 400, 'malformed', 'round')
    expect((await openRound(service, coordinator, federation)).round).toBe(41)
    const page = await asCoordinator('GET', `${federation.path}/rounds?limit=3`)
    expect(page.body.items.map(({ round }: { round: number }) => round)).toEqual([41, 40, 5])
    const rest = await asCoordinator('GET', `${federation.path}/rounds?cursor=${page.body.nextCursor}`)
    expect(rest.body.items.map(({ round }: { round: number }) => round)).toEqual([4, 3, 2, 1])
    for (const round of ['0', '01', '1.0', '-1', '6', 'x', '9'.repeat(16)]) {
      expectRefusal(await asCoordinator('GET', `${federation.path}/rounds/${round}`), 404, 'not_found')
    }
  })

  test('end with the last number that a path can name, and none has a higher one', async () => {
    const round = await openRound(service, coordinator, federation, { round: 999_999_999_999_999 })
    expect((await asCoordinator('GET', round.path)).body.round).toBe(999_999_999_999_999)
    for (let i = 0; i < 2; i++) {
      expectRefusal(await asCoordinator('POST', `${federation.path}/rounds`, {}), 409, 'round_state')
    }
    expect((await asCoordinator('GET', `${federation.path}/rounds`)).body.items).toHaveLength(1)
  })

  test('end CLOSED, with a certificate of what was given last that verifies offline', async () => {
    const round = await roundWithKeys({ minParticipants: 2 })
    const before = await asCoordinator('GET', `${round.path}/certificate`)
    expectRefusal(before, 409, 'round_state')
    const aggregateHash = toBase64url(crypto.hash256(new Uint8Array(3)))
    const closed = await close(round, { aggregateHash, participants: ids().toReversed().slice(1) })
    expect(closed.status).toBe(200)
    const { rows } = await service.database.sql.query(
      'select * from round_participant where round = $1 and federation_id = $2 order by device_id',
      [round.round, federation.id],
    )
    expect(closed.body.certificate).toMatchObject({
      state: 'CLOSED',
      policy: 'development',
      minParticipants: 2,
      aggregateHash,
      closedAt: service.time.now,
      participants: rows
        .filter(({ device_id }) => device_id !== ids()[2])
        .map(({ device_id, session_id, commitment, kid }) => ({
          deviceId: device_id,
          sessionId: session_id,
          commitment,
          kid,
          tier: 'none',
        })),
    })
    const file = async () =>
      parseRoundCertificateFile(JSON.stringify((await asCoordinator('GET', `${round.path}/certificate`)).body))
    const rootPin = (await createToken(service)).pin
    const early = await file()
    expect(early.proof).toBeNull()
    expect(verifyRoundCertificate(crypto, early, { rootPin, requireProof: false }).logged).toBeUndefined()
    await service.log.sequence()
    const proven = await file()
    expect(verifyRoundCertificate(crypto, proven, { rootPin, requireProof: true })).toMatchObject({
      certificate: closed.body.certificate,
      logged: { index: expect.any(Number) },
    })
    const changed = { ...proven, certificate: { ...proven.certificate, minParticipants: 1 } }
    expect(() => verifyRoundCertificate(crypto, changed, { rootPin, requireProof: true })).toThrow(/signature/)
  })

  test('are closed once: the same again gives the same certificate, in whatever order; another way is refused', async () => {
    const round = await roundWithKeys()
    const body = { participants: ids() }
    const answers = await Promise.all([
      close(round, body),
      close(round, body),
      close(round, { participants: ids().toReversed() }),
    ])
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
    service.time.now += 1_000
    answers.push(await close(round, body))
    expect(new Set(answers.map(({ body: of }) => JSON.stringify([of.certificate.closedAt, of.signature]))).size).toBe(1)
    for (const other of [{}, { participants: ids().slice(1) }, { ...body, aggregateHash: 'A'.repeat(43) }]) {
      expectRefusal(await close(round, other), 409, 'round_state')
    }
    const events = await eventsOf(service, answers[0]?.body.certificate.organizationId, 'round.closed')
    expect(events.filter(({ subject }) => subject.federationId === federation.id)).toHaveLength(1)
    expectRefusal(await askKeys(service, coordinator, round), 409, 'round_state')
    const gone = await as(devices[0]?.accessToken ?? '', 'POST', `${round.path}/membership`, { status: 'epoch_gone' })
    expectRefusal(gone, 409, 'round_state')
    expect((await as(devices[0]?.accessToken ?? '', 'GET', `${round.path}/membership`)).status).toBe(200)
  })

  test('end FAILED with fewer participants than they need, also with none, and are certified all the same', async () => {
    const few = await roundWithKeys({ minParticipants: 3 })
    const failed = await close(few, { participants: ids().slice(1) })
    expect(failed.body.certificate).toMatchObject({ state: 'FAILED', minParticipants: 3 })
    const none = await openRound(service, coordinator, federation)
    expect((await close(none)).body.certificate).toMatchObject({ state: 'FAILED', participants: [] })
    const { organizationId } = failed.body.certificate
    const events = await eventsOf(service, organizationId, 'round.failed')
    expect(events.filter(({ subject }) => subject.federationId === federation.id)).toMatchObject([
      { data: { participants: 2, minParticipants: 3 } },
      { data: { participants: 0, minParticipants: 1 } },
    ])
  })

  test('that a process with a slower clock closes are not closed before they were opened', async () => {
    const round = await roundWithKeys()
    const openedAt = service.time.now
    service.time.now -= 5
    const closed = await close(round)
    service.time.now += 5
    expect(closed.body.certificate).toMatchObject({ openedAt, closedAt: openedAt })
    const { body } = await asCoordinator('GET', `${round.path}/certificate`)
    const rootPin = (await createToken(service)).pin
    const file = parseRoundCertificateFile(JSON.stringify(body))
    expect(verifyRoundCertificate(crypto, file, { rootPin, requireProof: false }).certificate.state).toBe('CLOSED')
  })

  test('name nobody in their certificate who was given no key', async () => {
    const round = await openRound(service, coordinator, federation)
    await askKeys(service, coordinator, round, ids().slice(1))
    for (const participants of [ids(), [newId()]]) {
      expectRefusal(await close(round, { participants }), 409, 'round_state')
    }
    expect((await close(round)).body.certificate.participants).toHaveLength(2)
  })
})

describe('a federation', () => {
  test('has a name of its own in its organization, and another organization may have it too', async () => {
    const name = newId()
    expect((await asCoordinator('POST', '/v1/federations', { name })).body.policy).toBe('development')
    expectRefusal(await asCoordinator('POST', '/v1/federations', { name, policy: 'production' }), 409, 'name_taken')
    const tenant = await makeTenant(service, newId())
    expect((await as(tenant.adminToken, 'POST', '/v1/federations', { name })).status).toBe(201)
  })

  test('takes devices and coordinators of its organization, each as what it is; others are as none', async () => {
    const foreign = await makeTenant(service, newId())
    const [foreignDevice, foreignCoordinator] = [
      await enterService(foreign),
      await enterService(foreign, 'coordinator'),
    ]
    for (const [list, own, wrongKind, ofOthers] of [
      ['members', devices[0]?.deviceId, coordinator.deviceId, foreignDevice.deviceId],
      ['coordinators', coordinator.deviceId, devices[0]?.deviceId, foreignCoordinator.deviceId],
    ] as const) {
      for (const method of ['PUT', 'DELETE']) {
        for (const id of [wrongKind, ofOthers, newId(), 'x']) {
          expectRefusal(await asCoordinator(method, `${federation.path}/${list}/${id}`), 404, 'not_found')
        }
      }
      expect((await asCoordinator('PUT', `${federation.path}/${list}/${own}`)).status).toBe(204)
    }
    const { body } = await asCoordinator('GET', `${federation.path}/members`)
    expect(body.items.map(({ deviceId }: { deviceId: string }) => deviceId)).toEqual(ids().toSorted())
  })

  test('leaves an event for what changes in it, and none for what is so already', async () => {
    const other = await enterService(service, 'coordinator')
    for (const [list, id] of [
      ['members', ids()[0]],
      ['coordinators', other.deviceId],
    ] as const) {
      for (const method of ['PUT', 'PUT', 'DELETE', 'DELETE', 'PUT'])
        await asCoordinator(method, `${federation.path}/${list}/${id}`)
    }
    const { rows } = await service.database.sql.query('select organization_id from federation where id = $1', [
      federation.id,
    ])
    const types = (await eventsOf(service, rows[0].organization_id)).filter(
      ({ subject }) => subject.federationId === federation.id,
    )
    expect(types.map(({ type }) => type.replace('federation.', ''))).toEqual([
      'created',
      'member_added',
      'member_added',
      'member_added',
      'member_removed',
      'member_added',
      'coordinator_added',
      'coordinator_removed',
      'coordinator_added',
    ])
  })

  test('is run by whom it is assigned to; its coordinators are assigned by its maker and by operators', async () => {
    const other = await enterService(service, 'coordinator')
    const path = `${federation.path}/coordinators/${other.deviceId}`
    expectRefusal(await as(other.accessToken, 'GET', federation.path), 404, 'not_found')
    expect((await as(other.accessToken, 'GET', '/v1/federations')).body.items).toEqual([])
    const operator = await makeApiToken(service, ['operator'])
    expect((await as(operator.token, 'PUT', path)).status).toBe(204)
    const { body } = await as(other.accessToken, 'GET', '/v1/federations')
    expect(body.items.map(({ id }: { id: string }) => id)).toEqual([federation.id])
    const third = (await enterService(service, 'coordinator')).deviceId
    expectRefusal(await as(other.accessToken, 'PUT', `${federation.path}/coordinators/${third}`), 403, 'forbidden')
    // Once it is taken off, its maker is nobody there either.
    const maker = `${federation.path}/coordinators/${coordinator.deviceId}`
    expect((await as(operator.token, 'DELETE', maker)).status).toBe(204)
    expectRefusal(await asCoordinator('PUT', maker), 404, 'not_found')
    expect((await as(other.accessToken, 'POST', `${federation.path}/rounds`, {})).status).toBe(201)
  })

  test('is shared by coordinators that assign each other at the same moment, and neither waits for the other', async () => {
    const other = await enterService(service, 'coordinator')
    for (let i = 0; i < 6; i++) {
      const [own, theirs] = [await makeFederation(service, coordinator), await makeFederation(service, other)]
      const answers = await Promise.all([
        asCoordinator('PUT', `${own.path}/coordinators/${other.deviceId}`),
        as(other.accessToken, 'PUT', `${theirs.path}/coordinators/${coordinator.deviceId}`),
      ])
      expect(answers.map(({ status }) => status)).toEqual([204, 204])
    }
  })

  test('that an API token made is its own: it opens rounds and assigns who gets their keys, and gets none', async () => {
    const { token } = await makeApiToken(service, ['coordinator'])
    const made = await as(token, 'POST', '/v1/federations', { name: newId() })
    const path = `/v1/federations/${made.body.id}`
    expect((await as(token, 'GET', '/v1/federations')).body.items).toEqual([made.body])
    expectRefusal(await as(token, 'GET', federation.path), 404, 'not_found')
    expect((await as(token, 'PUT', `${path}/members/${ids()[0]}`)).status).toBe(204)
    expect((await as(token, 'PUT', `${path}/coordinators/${coordinator.deviceId}`)).status).toBe(204)
    const { body } = await as(token, 'POST', `${path}/rounds`, {})
    const round = { round: body.round, path: `${path}/rounds/${body.round}` }
    for (const call of ['keys', 'close']) {
      expectRefusal(await as(token, 'POST', `${round.path}/${call}`, {}), 403, 'forbidden')
    }
    const answer = await askKeys(service, coordinator, round)
    const { keys } = openAnswer(coordinator, { id: made.body.id, path }, round, answer)
    expect(keys.map(({ deviceId }) => deviceId)).toEqual([ids()[0]])
  })
})
