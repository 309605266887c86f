import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openDevice, type QflareDevice } from '../../client/device.ts'
import { enrollDevice } from '../../client/enroll-device.ts'
import { openFederations, type QflareFederations } from '../../client/federations.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import { openOperator, type QflareOperator } from '../../client/operator.ts'
import type { ApiRole } from '../../protocol/api-roles.ts'
import type { PrincipalKind } from '../../protocol/enrollment.ts'
import { BUCKET_MS, GRACE_MS } from '../../protocol/exchange/bucket.ts'
import {
  formatRoundCertificateFile,
  parseRoundCertificateFile,
  roundCommitment,
} from '../../protocol/rounds/round-certificate.ts'
import { verifyRoundCertificate } from '../../protocol/rounds/verify-round-certificate.ts'
import { createToken } from '../support/api.ts'
import { type Proxy, startProxy } from '../support/proxy.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'
import { makeApiToken, makeTenant } from '../support/tenants.ts'

/** Rounds through the client library, against the real service. */

let service: TestService
let proxy: Proxy
let operator: QflareOperator
let federations: QflareFederations
let coordinator: QflareDevice
let devices: Party[]
let federationId: string
let pin: string

interface Party {
  device: QflareDevice
  deviceId: string
}

async function enter(kind: PrincipalKind): Promise<Party> {
  const made = await createToken(service, { kind })
  pin = made.pin
  const store = createMemoryStore()
  const now = () => service.time.now
  await enrollDevice({ url: proxy.url, token: made.token, name: kind, kind, store, now })
  const device = await openDevice({ store, now, wait: async () => undefined })
  const { deviceId } = await device.exchange()
  return { device, deviceId }
}

beforeAll(async () => {
  service = await startTestService()
  proxy = await startProxy(service.url)
  operator = openOperator({ url: service.url, apiToken: service.adminToken })
  federations = openFederations({ url: service.url, apiToken: service.adminToken })
  const entered = await enter('coordinator')
  coordinator = entered.device
  devices = [await enter('device'), await enter('device'), await enter('device')]
  const { id } = await federations.createFederation({ name: 'north', policy: 'development' })
  federationId = id
  await federations.addCoordinator(id, entered.deviceId)
  for (const { deviceId } of devices) await federations.addMember(id, deviceId)
})
afterAll(async () => {
  await proxy[Symbol.asyncDispose]()
  await service.close()
})

const all = async <T>(items: AsyncIterable<T>) => {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}

test('an operator makes federations and sees who is in them, and saying a thing twice changes nothing', async () => {
  const { id } = await federations.createFederation({ name: 'south' })
  expect((await federations.listFederations()).items.map(({ name }) => name)).toEqual(['south', 'north'])
  expect(await federations.getFederation(id)).toMatchObject({ name: 'south', policy: 'development' })
  const { deviceId } = devices[0] as Party
  for (const _ of [1, 2]) await federations.addMember(id, deviceId)
  expect(await all(federations.members(id))).toMatchObject([{ deviceId }])
  for (const _ of [1, 2]) await federations.removeMember(id, deviceId)
  expect(await all(federations.members(id))).toEqual([])
  await expect(federations.createFederation({ name: 'south' })).rejects.toMatchObject({ code: 'name_taken' })
  await expect(coordinator.federations().getFederation(id)).rejects.toMatchObject({ code: 'not_found' })
})

describe('a round', () => {
  test('gives the coordinator the key that every device derives by itself, and a certificate of it that verifies offline', async () => {
    const round = await coordinator.openRound(federationId, { minParticipants: 2 })
    const { keys, refused } = await coordinator.roundKeys(federationId, round)
    expect(refused).toEqual([])
    for (const { device, deviceId } of devices) {
      const given = keys.find((key) => key.deviceId === deviceId)
      expect({ deviceId, ...(await device.roundKey(federationId, round)) }).toEqual(given)
    }
    const aggregateHash = crypto.randomBytes(32)
    const certificate = await coordinator.closeRound(federationId, round, { aggregateHash })
    expect(await coordinator.closeRound(federationId, round, { aggregateHash })).toEqual(certificate)
    expect(certificate).toMatchObject({ state: 'CLOSED', round, minParticipants: 2, policy: 'development' })
    for (const participant of certificate.participants) {
      const key = keys.find(({ deviceId }) => deviceId === participant.deviceId)?.key as Uint8Array
      expect(participant.commitment).toBe(roundCommitment(crypto, { ...participant, federationId, round, key }))
    }
    const early = await coordinator.roundCertificate(federationId, round)
    expect(early).toMatchObject({ certificate, proof: null })
    await expect(coordinator.roundCertificate(federationId, round, { requireProof: true })).rejects.toMatchObject({
      code: 'log_invalid',
    })
    await service.log.sequence()
    const file = await coordinator.roundCertificate(federationId, round, { requireProof: true })
    const read = parseRoundCertificateFile(formatRoundCertificateFile(file))
    const { logged } = verifyRoundCertificate(crypto, read, { rootPin: pin, requireProof: true })
    expect(logged?.checkpoint.origin).toBe('test.example/audit')
    await expect(coordinator.roundKeys(federationId, round)).rejects.toMatchObject({ code: 'round_state' })
    await expect(coordinator.closeRound(federationId, round)).rejects.toMatchObject({ code: 'round_state' })
  })

  test('has a certificate for auditors of its organization, and of no other', async () => {
    const round = await coordinator.openRound(federationId)
    const certificate = await coordinator.closeRound(federationId, round)
    expect(certificate).toMatchObject({ state: 'FAILED', participants: [] })
    const as = async (owner: { adminToken: string }, roles: ApiRole[]) => {
      const { token } = await makeApiToken({ ...service, ...owner }, roles)
      return openFederations({ url: service.url, apiToken: token }).getRoundCertificate(federationId, round)
    }
    expect((await as(service, ['auditor'])).certificate).toEqual(certificate)
    await expect(as(service, ['coordinator'])).rejects.toMatchObject({ code: 'not_found' })
    const tenant = await makeTenant(service, 'foreign')
    for (const role of ['auditor', 'operator', 'admin'] as const) {
      await expect(as(tenant, [role])).rejects.toMatchObject({ code: 'not_found' })
    }
  })

  test('goes on without a device that is revoked or has no session, and fails with fewer than it wants', async () => {
    const [lost, quiet] = [await enter('device'), await createQuiet()]
    for (const deviceId of [lost.deviceId, quiet]) await federations.addMember(federationId, deviceId)
    await operator.revokeDevice(lost.deviceId)
    const round = await coordinator.openRound(federationId, { minParticipants: 4 })
    const { keys, refused } = await coordinator.roundKeys(federationId, round)
    expect(keys.map(({ deviceId }) => deviceId)).toEqual(devices.map(({ deviceId }) => deviceId).toSorted())
    expect(new Map(refused.map(({ deviceId, code }) => [deviceId, code]))).toEqual(
      new Map([
        [lost.deviceId, 'not_active'],
        [quiet, 'no_session'],
      ]),
    )
    await expect(lost.device.roundKey(federationId, round)).rejects.toMatchObject({ code: 'unauthenticated' })
    expect(await coordinator.closeRound(federationId, round)).toMatchObject({ state: 'FAILED', minParticipants: 4 })
    for (const deviceId of [lost.deviceId, quiet]) await federations.removeMember(federationId, deviceId)
  })

  test('has a new key for a device whose epoch is over, after it said so', async () => {
    const round = await coordinator.openRound(federationId)
    const first = await coordinator.roundKeys(federationId, round)
    const { device, deviceId } = devices[0] as Party
    service.time.now += BUCKET_MS + GRACE_MS
    await service.tick()
    await expect(device.roundKey(federationId, round)).rejects.toMatchObject({ code: 'epoch_gone' })
    const gone = await all(coordinator.federations().participants(federationId, round, { status: 'epoch_gone' }))
    expect(gone.map((one) => one.deviceId)).toEqual([deviceId])
    expect(await federations.getRound(federationId, round)).toMatchObject({ participants: 3, epochGone: 1 })
    const { keys } = await coordinator.roundKeys(federationId, round, { deviceIds: [deviceId] })
    expect(keys.map(({ epoch }) => epoch)).toEqual([first.epoch + 1])
    expect({ deviceId, ...(await device.roundKey(federationId, round)) }).toEqual(keys[0])
    const { participants } = await coordinator.closeRound(federationId, round)
    expect(new Set(participants.map(({ epoch }) => epoch))).toEqual(new Set([first.epoch, first.epoch + 1]))
  })

  test('is opened, keyed, closed and certified through lost answers', async () => {
    const before = (await federations.listRounds(federationId)).items.length
    const losing = new Map<string, number>()
    proxy.treat = (line) => {
      const times = (losing.get(line) ?? 0) + 1
      losing.set(line, times)
      return times === 1 && /\/(keys|close|membership|certificate)$/.test(line) ? 'lose-answer' : 'forward'
    }
    const round = await coordinator.openRound(federationId)
    const { keys } = await coordinator.roundKeys(federationId, round)
    const { device, deviceId } = devices[1] as Party
    expect((await device.roundKey(federationId, round)).key).toEqual(keys.find((key) => key.deviceId === deviceId)?.key)
    const certificate = await coordinator.closeRound(federationId, round)
    expect((await coordinator.roundCertificate(federationId, round)).certificate).toEqual(certificate)
    proxy.treat = () => 'forward'
    expect((await federations.listRounds(federationId)).items.length).toBe(before + 1)
  })

  test('is of no use to a device that is no member, nor to a coordinator that is not assigned', async () => {
    const [stranger, other] = [await enter('device'), await enter('coordinator')]
    const round = await coordinator.openRound(federationId)
    await coordinator.roundKeys(federationId, round)
    await expect(stranger.device.roundKey(federationId, round)).rejects.toMatchObject({ code: 'not_found' })
    await expect(other.device.roundKeys(federationId, round)).rejects.toMatchObject({ code: 'not_found' })
    await expect(stranger.device.roundKeys(federationId, round)).rejects.toMatchObject({ code: 'forbidden' })
    const asked = await coordinator.roundKeys(federationId, round, { deviceIds: [stranger.deviceId] })
    expect(asked).toMatchObject({ keys: [], refused: [{ deviceId: stranger.deviceId, code: 'not_member' }] })
  })
})

/** A device that enrolled and never exchanged. */
async function createQuiet(): Promise<string> {
  const { token } = await createToken(service)
  const device = await enrollDevice({ url: service.url, token, name: 'quiet', store: createMemoryStore() })
  return (await device.status()).deviceId
}
