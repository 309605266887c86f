import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { QflareDevice } from '../../client/device.ts'
import type { PrincipalKind } from '../../protocol/enrollment.ts'
import { stored } from '../support/api.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { makeTestTpmCa, startTestTpm, type TestTpm, type TestTpmCa, whyNoTpm } from '../support/swtpm.ts'
import {
  addReferenceValue,
  clearQuarantine,
  enrollWithTpm,
  preparePolicy,
  readReferenceValue,
  TEST_PCRS,
} from '../support/tpm-fleet.ts'

/** How long after one attestation the next one is due. */
const INTERVAL_MS = 300_000

interface Member {
  tpm: TestTpm
  device: QflareDevice
  deviceId: string
}

/** A fleet of real TPMs, from enrolment to a round, against the real service with a clock that the test owns. */
describe.skipIf(whyNoTpm() !== undefined)(`a fleet with TPMs (${whyNoTpm() ?? 'swtpm'})`, () => {
  let service: TestService
  let ca: TestTpmCa
  let policyId: string
  const tpms: TestTpm[] = []
  let withRsa: Member
  let withEcc: Member
  let coordinator: Member
  let federationId: string
  let round: number

  beforeAll(async () => {
    // Later than now, when the certificates of the TPMs begin.
    service = await startTestService({ now: Date.now() + 600_000 })
    ca = await makeTestTpmCa()
    for (let count = 0; count < 3; count++) tpms.push(await startTestTpm({ ca }))
    const values = [await readReferenceValue(tpms[0] as TestTpm, TEST_PCRS)]
    policyId = await preparePolicy(service, { ca, values })
  })
  afterAll(async () => {
    for (const tpm of tpms) await tpm.stop()
    await ca?.remove()
    await service?.close()
  })

  async function enter(index: number, type: 'rsa' | 'ecc', kind: PrincipalKind = 'device'): Promise<Member> {
    const tpm = tpms[index] as TestTpm
    const { device, deviceId } = await enrollWithTpm(service, tpm, {
      policyId,
      kind,
      tpm: { ekType: type, akType: type },
    })
    await device.exchange()
    await attestWell(device)
    return { tpm, device, deviceId }
  }

  async function attestWell(device: QflareDevice): Promise<void> {
    expect(await device.attest()).toMatchObject({ status: 'ACTIVE', attestation: { tier: 'affirming', policyId } })
  }

  /** Who gets a key that is the one it derives itself, and why others get none. */
  async function askKeys(): Promise<{ served: string[]; refused: object[] }> {
    await attestWell(coordinator.device)
    const { keys, refused } = await coordinator.device.roundKeys(federationId, round)
    for (const { deviceId, key } of keys) {
      const { device } = [withRsa, withEcc].find((member) => member.deviceId === deviceId) as Member
      expect((await device.roundKey(federationId, round)).key).toEqual(key)
    }
    return { served: keys.map(({ deviceId }) => deviceId).sort(), refused: refused.map((one) => ({ ...one })) }
  }

  /** Keeps a device fresh until it has heard `what`; what it heard, with the time since the beginning. */
  async function keepUntil(device: QflareDevice, what: string): Promise<{ heard: string[]; afterMs: number }> {
    const begin = service.time.now
    const stop = new AbortController()
    const heard: string[] = []
    const note = (happening: string) => {
      heard.push(happening)
      if (happening === what) stop.abort()
    }
    await device.keepFresh({
      signal: stop.signal,
      onExchange: () => note('session'),
      onAttestation: ({ attestation }) => note(attestation?.tier ?? 'nothing'),
      onError: ({ code }) => note(code),
    })
    return { heard, afterMs: service.time.now - begin }
  }

  const sessionStates = async ({ deviceId }: Member) =>
    (await stored(service, deviceId)).sessions.map(({ state }) => state)

  test('enrols with RSA and with ECC, attests, and trains under a policy that takes nobody else', async () => {
    withRsa = await enter(0, 'rsa')
    withEcc = await enter(1, 'ecc')
    coordinator = await enter(2, 'rsa', 'coordinator')
    const federations = coordinator.device.federations()
    federationId = (await federations.createFederation({ name: 'north', policy: 'production' })).id
    for (const { deviceId } of [withRsa, withEcc]) await federations.addMember(federationId, deviceId)
    round = await coordinator.device.openRound(federationId)
    expect(await askKeys()).toEqual({ served: [withRsa.deviceId, withEcc.deviceId].sort(), refused: [] })
  })

  test('quarantines the one whose PCR changed, within one interval, and nobody else', async () => {
    await withRsa.tpm.extendPcr(4, 'another boot loader')
    const { heard, afterMs } = await keepUntil(withRsa.device, 'quarantined')
    expect(heard).toEqual(['quarantined'])
    expect(afterMs).toBeLessThan(INTERVAL_MS)
    expect(await sessionStates(withRsa)).toEqual(['REVOKED'])
    expect(await sessionStates(withEcc)).toEqual(['ACTIVE'])
    expect((await stored(service, withRsa.deviceId)).events).toMatchObject({ 'device.quarantined': 1 })
    await expect(withRsa.device.exchange()).rejects.toMatchObject({ code: 'exchange_refused' })
    await attestWell(withEcc.device)
    expect(await askKeys()).toEqual({
      served: [withEcc.deviceId],
      refused: [{ deviceId: withRsa.deviceId, code: 'quarantined' }],
    })
  })

  test('takes it back when it booted what it ought to, and an operator cleared it', async () => {
    await withRsa.tpm.reboot()
    await expect(withRsa.device.exchange(), 'a good boot alone').rejects.toMatchObject({ code: 'exchange_refused' })
    await clearQuarantine(service, withRsa.deviceId)
    expect((await keepUntil(withRsa.device, 'affirming')).heard).toEqual(['session', 'affirming'])
    await attestWell(withEcc.device)
    expect(await askKeys()).toEqual({ served: [withRsa.deviceId, withEcc.deviceId].sort(), refused: [] })
  })

  test('quarantines it again where it is cleared, and still is what it must not be', async () => {
    await withEcc.tpm.extendPcr(4, 'the next release')
    expect((await withEcc.device.attest()).status).toBe('QUARANTINED')
    await clearQuarantine(service, withEcc.deviceId)
    expect((await keepUntil(withEcc.device, 'quarantined')).heard).toEqual(['session', 'quarantined'])
  })

  test('takes it back in its new state, once a reference value allows that', async () => {
    await addReferenceValue(service, await readReferenceValue(withEcc.tpm, TEST_PCRS))
    await clearQuarantine(service, withEcc.deviceId)
    expect((await keepUntil(withEcc.device, 'affirming')).heard).toEqual(['session', 'affirming'])
    await attestWell(withRsa.device)
    expect(await askKeys()).toEqual({ served: [withRsa.deviceId, withEcc.deviceId].sort(), refused: [] })
  })
})
