import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openDevice, type QflareDevice } from '../../client/device.ts'
import { enrollDevice } from '../../client/enroll-device.ts'
import type { KeepFreshOptions } from '../../client/keep-fresh.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import { openAttesters } from '../../client/open-attesters.ts'
import { openTpmAttester } from '../../client/tpm/tpm-attester.ts'
import { call, createToken } from '../support/api.ts'
import { type Proxy, startProxy } from '../support/proxy.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { makeTestTpmCa, startTestTpm, type TestTpm, type TestTpmCa, whyNoTpm } from '../support/swtpm.ts'
import {
  clearQuarantine,
  enrollWithTpm,
  passTime,
  preparePolicy,
  readReferenceValue,
  TEST_PCRS,
} from '../support/tpm-fleet.ts'

/** The library with a real TPM, against the real service. */
describe.skipIf(whyNoTpm() !== undefined)(`a device with a TPM (${whyNoTpm() ?? 'swtpm'})`, () => {
  let service: TestService
  let proxy: Proxy
  let ca: TestTpmCa
  let tpm: TestTpm
  let policyId: string

  beforeAll(async () => {
    // Later than now, when the certificates of the TPM begin.
    service = await startTestService({ now: Date.now() + 600_000 })
    proxy = await startProxy(service.url)
    ca = await makeTestTpmCa()
    tpm = await startTestTpm({ ca })
    policyId = await preparePolicy(service, { ca, values: [await readReferenceValue(tpm, TEST_PCRS)] })
  })
  afterAll(async () => {
    await tpm?.stop()
    await ca?.remove()
    await proxy?.[Symbol.asyncDispose]()
    await service?.close()
  })

  const revoke = (deviceId: string) =>
    call(service, 'POST', `/v1/devices/${deviceId}/revoke`, { token: service.adminToken, body: {} })

  /** A TPM has one live device: the one before goes. */
  let before: string | undefined
  async function enrolled(wish: Partial<Parameters<typeof enrollWithTpm>[2]> = {}) {
    if (before !== undefined) await revoke(before)
    const made = await enrollWithTpm(service, tpm, { policyId, ...wish })
    before = made.deviceId
    return made
  }

  test.each([
    ['RSA-2048', 'RSA', { ekType: 'rsa', akType: 'rsa', akHandle: '0x8100a001' }],
    ['RSA-2048', 'P-256', { ekType: 'rsa', akType: 'ecc', akHandle: '0x8100a002', banks: ['sha256', 'sha384'] }],
    ['P-256', 'P-256', { ekType: 'ecc', akType: 'ecc', akHandle: '0x8100A003' }],
    ['P-384', 'RSA', { ekIndex: '0x1c00016', akType: 'rsa', akHandle: '0x8100a004' }],
  ] as const)('with an EK of %s and an AK of %s enrols, and attests in its session', async (_ek, _ak, options) => {
    const { device } = await enrolled({
      tpm: { ...options, banks: [...('banks' in options ? options.banks : ['sha256' as const])] },
    })
    expect((await device.status()).attestation).toMatchObject({ status: 'ACTIVE', tier: 'affirming', policyId })
    const { session } = await device.exchange()
    const answer = await device.attest()
    expect(answer).toMatchObject({ status: 'ACTIVE', attestation: { tier: 'affirming', policyId } })
    expect(answer.nextAttestationAt).toBe(service.time.now + 300_000)
    expect((await device.status()).attestation).toMatchObject({ sessionId: session?.sessionId, tier: 'affirming' })
    for (const kind of ['handles-transient', 'handles-loaded-session']) {
      expect((await tpm.run('getcap', kind)).trim(), kind).toBe('')
    }
  })

  test('finds the attestation key of before again, and makes no second one', async () => {
    const first = await enrolled()
    const handles = await tpm.run('getcap', 'handles-persistent')
    const again = await enrolled()
    expect(again.deviceId).not.toBe(first.deviceId)
    expect(await tpm.run('getcap', 'handles-persistent')).toBe(handles)
  })

  test('is not enrolled beside the device that its TPM is, and spends no token on what it has not', async () => {
    await enrolled()
    const { token } = await createToken(service, { policyId })
    const options = { url: service.url, token, name: 'edge', now: () => service.time.now, wait: passTime(service) }
    const bare = enrollDevice({ ...options, store: createMemoryStore() })
    await expect(bare).rejects.toMatchObject({
      code: 'policy_refused',
      message: 'The server wants evidence of tpm2: this device has no attester.',
    })
    const attesters = [await openTpmAttester({ tcti: tpm.tcti })]
    const twice = enrollDevice({ ...options, attesters, store: createMemoryStore() })
    await expect(twice).rejects.toMatchObject({ code: 'evidence_refused' })
    await revoke(before as string)
    const device = await enrollDevice({ ...options, attesters, store: createMemoryStore() })
    before = (await device.status()).deviceId
  })

  test('takes no handle where something else is', async () => {
    const at = (akHandle: string, akType?: 'rsa' | 'ecc') =>
      openTpmAttester({ tcti: tpm.tcti, akHandle, akType }).then((attester) => attester.credentialRequest?.())
    await tpm.run('createprimary', '-C', 'o', '-G', 'ecc', '-c', 'other.ctx')
    await tpm.run('flushcontext', '-t')
    await tpm.run('evictcontrol', '-C', 'o', '-c', 'other.ctx', '0x8100a009')
    await expect(at('0x8100a009')).rejects.toMatchObject({
      code: 'tpm_refused',
      message: 'At 0x8100a009 of the TPM there is a key that is no attestation key: choose another handle.',
    })
    await expect(at('0x8100a001', 'ecc')).rejects.toMatchObject({ code: 'tpm_refused' })
    await expect(at('0x8100a003')).rejects.toMatchObject({
      message: expect.stringContaining('a key of another endorsement key'),
    })
  })

  test('has a new identity key on the same TPM, and is attested under it', async () => {
    const { device } = await enrolled()
    const old = (await device.exchange()).identityKey.kid
    await device.attest()
    const { identityKey, session } = await device.rotateIdentity()
    expect(identityKey.kid).not.toBe(old)
    expect(await device.attest()).toMatchObject({ status: 'ACTIVE', attestation: { tier: 'affirming' } })
    expect((await device.status()).attestation?.sessionId).toBe(session?.sessionId)
  })

  test('ends an attestation well, whichever answer of it is lost', async () => {
    const { store } = await enrolled()
    const now = () => service.time.now
    const device = await openDevice({
      store,
      url: proxy.url,
      now,
      wait: async () => {},
      attesters: await openAttesters(store),
    })
    await device.exchange()
    for (const place of [0, 1]) {
      let count = 0
      proxy.treat = (line) => (line.includes('/v1/attestations') && count++ === place ? 'lose-answer' : 'forward')
      expect(await device.attest()).toMatchObject({ status: 'ACTIVE', attestation: { tier: 'affirming' } })
      expect(count).toBe(3)
    }
    proxy.treat = () => 'forward'
  })

  describe('that is kept fresh', () => {
    /** Until so much time has passed at the service; what it heard of, and when. */
    async function keep(
      device: QflareDevice,
      forMs: number,
      each: (elapsedMs: number) => Promise<void> | void = () => {},
    ) {
      const begin = service.time.now
      const heard: { what: string; at: number; retryInMs?: number }[] = []
      const stop = new AbortController()
      const note = async (what: string, more: object = {}) => {
        heard.push({ what, at: service.time.now - begin, ...more })
        await each(service.time.now - begin)
        if (service.time.now - begin >= forMs) stop.abort()
      }
      const options: KeepFreshOptions = {
        signal: stop.signal,
        onExchange: () => note('session'),
        onAttestation: ({ attestation }) => note(attestation?.tier ?? 'nothing'),
        onError: ({ code }, retryInMs) => note(code, { retryInMs }),
      }
      await device.keepFresh(options)
      return heard
    }

    /** In a session that is so old, and attested when it began. */
    async function inSession(ageMs: number) {
      const made = await enrolled()
      await made.device.exchange()
      await made.device.attest()
      service.time.now += ageMs
      await service.tick()
      return made
    }

    test('attests in each session at once and then before five minutes are over, and not much more often', async () => {
      const { device } = await inSession(20 * 60_000)
      const heard = await keep(device, 1_500_000)
      expect(heard.filter(({ what }) => !['session', 'affirming'].includes(what))).toEqual([])
      const sessions = heard.filter(({ what }) => what === 'session')
      expect(sessions.length).toBeGreaterThanOrEqual(1)
      for (const session of sessions) {
        expect(heard[heard.indexOf(session) + 1]).toEqual({ what: 'affirming', at: session.at })
      }
      const times = heard.filter(({ what }) => what === 'affirming').map(({ at }) => at)
      const gaps = times.slice(1).map((at, index) => at - (times[index] ?? 0))
      expect(Math.max(...gaps)).toBeLessThan(300_000)
      expect(times.length).toBeLessThanOrEqual(10)
    })

    test('goes on exchanging while its TPM is away, asks it ever less often, and attests when it is back', async () => {
      const { device } = await inSession(24 * 60_000)
      await tpm.turnOff()
      let isOn = false
      const heard = await keep(device, 1_200_000, async (elapsedMs) => {
        if (isOn || elapsedMs < 700_000) return
        isOn = true
        await tpm.turnOn()
      })
      const failures = heard.filter(({ what }) => what === 'tpm_unavailable')
      expect(failures.length).toBeGreaterThan(8)
      expect(failures.length).toBeLessThan(80)
      expect(heard.filter(({ what, at }) => what === 'session' && at < 700_000).length).toBeGreaterThanOrEqual(1)
      expect(heard.at(-1)?.what).not.toBe('tpm_unavailable')
      expect(heard.filter(({ what }) => what === 'affirming').length).toBeGreaterThan(1)
      expect(new Set(heard.map(({ what }) => what))).toEqual(new Set(['session', 'affirming', 'tpm_unavailable']))
    })

    test('hears at an attestation that its session was ended, and has a new one at once', async () => {
      const { device } = await enrolled()
      const { session } = await device.exchange()
      await device.attest()
      const path = `/v1/sessions/${session?.sessionId}`
      expect((await call(service, 'DELETE', path, { token: service.adminToken })).status).toBeLessThan(300)
      const heard = await keep(device, 400_000)
      // Which of the two, hangs on whether the access token has to be renewed just then.
      expect(heard[0]?.what).toMatch(/^(unauthenticated|session_state)$/)
      expect(heard.slice(1, 3).map(({ what }) => what)).toEqual(['session', 'affirming'])
      expect(heard[2]?.at).toBeLessThan(320_000)
    })

    test('that is quarantined has no session, does not hammer, and is back when it is cleared', async () => {
      const { device, deviceId } = await enrolled()
      await device.exchange()
      await device.attest()
      await tpm.extendPcr(4, 'another boot loader')
      let isCleared = false
      const heard = await keep(device, 1_700_000, async (elapsedMs) => {
        if (isCleared || elapsedMs < 1_000_000) return
        isCleared = true
        expect((await device.status()).session).toBeUndefined()
        expect((await device.status()).attestation).toMatchObject({ status: 'QUARANTINED', tier: 'contraindicated' })
        await tpm.reboot()
        await clearQuarantine(service, deviceId)
      })
      expect(heard[0]?.what).toBe('quarantined')
      expect(heard[0]?.at).toBeLessThan(300_000)
      const refusals = heard.filter(({ what }) => what === 'exchange_refused')
      expect(refusals.length).toBeGreaterThan(5)
      expect(refusals.length).toBeLessThan(30)
      const back = heard.findIndex(({ what }) => what === 'session')
      expect(heard[back + 1]).toEqual({ what: 'affirming', at: heard[back]?.at })
      expect(heard.slice(back).map(({ what }) => what)).not.toContain('exchange_refused')
    })
  })
})
