import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ConfidentialFormat, createConfidentialAttester } from '../../client/confidential/confidential-attester.ts'
import { openDevice, type QflareDevice } from '../../client/device.ts'
import { enrollDevice } from '../../client/enroll-device.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import type { Collateral } from '../../protocol/attestation/evidence-format.ts'
import { createToken } from '../support/api.ts'
import { addAnchor, addCollateral, addReferenceValue, authoritiesWish } from '../support/attestation-inputs.ts'
import { createPolicy } from '../support/policies.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { makeSevSnp, sevSnpCrl } from '../support/sev-snp/evidence.ts'
import { sevSnpMeasurement } from '../support/sev-snp/report.ts'
import { tdxCollateral } from '../support/tdx/collateral.ts'
import { tdxRootCertificate } from '../support/tdx/platform.ts'
import { type QuoteChanges, tdxTrustDomain } from '../support/tdx/quote.ts'
import { clearQuarantine, passTime } from '../support/tpm-fleet.ts'
import { createTsmKernel, type TestMachine } from '../support/tsm/kernel.ts'
import { collateralWishOf, type SevSnpState, sevSnpMachine, tdxMachine } from '../support/tsm/machines.ts'
import { memoryReports } from '../support/tsm/memory-reports.ts'
import { CERTIFICATE_NOW } from '../support/x509.ts'

/** The library in machines whose reports are those of the tests' generators, against the real service. */
let service: TestService

beforeAll(async () => {
  service = await startTestService({ now: CERTIFICATE_NOW })
})
afterAll(() => service?.close())

const kinds = [
  {
    format: 'sev-snp',
    root: () => makeSevSnp().certificates.root,
    collateral: (): Collateral[] => [sevSnpCrl(makeSevSnp(), [])],
    reference: { name: 'guest', value: { measurements: [sevSnpMeasurement.toString('hex')] } },
    launch() {
      const state: SevSnpState = {}
      const launchOther = () => void (state.measurement = Buffer.alloc(48, 0x66))
      return { machine: sevSnpMachine(state), launchOther, launchKnown: () => void delete state.measurement }
    },
    finding: 'sev-snp.measurement',
  },
  {
    format: 'tdx',
    root: tdxRootCertificate,
    collateral: tdxCollateral,
    reference: { name: 'trust-domain', value: tdxTrustDomain },
    launch() {
      const state: QuoteChanges = {}
      const launchOther = () => void (state.td = { mrTd: Buffer.alloc(48, 0x66) })
      return { machine: tdxMachine(state), launchOther, launchKnown: () => void delete state.td }
    },
    finding: 'tdx.registers',
  },
] as const

describe.each(kinds)('a machine of $format', ({ format, root, collateral, reference, launch, finding }) => {
  let policyId: string

  beforeAll(async () => {
    await addAnchor(service, { ...authoritiesWish(root()), format })
    for (const one of collateral()) await addCollateral(service, collateralWishOf(one))
    await addReferenceValue(service, { format, name: reference.name, values: [reference.value] })
    const evidence = { [format]: { rules: { collateral: 'contraindicated' }, referenceValues: [reference.name] } }
    policyId = (await createPolicy(service, format, { evidence, enroll: ['affirming'] })).id
  })

  async function enroll(machine: TestMachine): Promise<{ device: QflareDevice; left: () => string[] }> {
    const { token } = await createToken(service, { policyId })
    const kernel = createTsmKernel(machine)
    const attesters = [createConfidentialAttester(format as ConfidentialFormat, {}, memoryReports(kernel))]
    const store = createMemoryStore()
    const now = () => service.time.now
    await enrollDevice({ url: service.url, token, name: 'vm', store, now, attesters })
    const device = await openDevice({ store, now, monotonicNow: now, wait: passTime(service), attesters })
    return { device, left: kernel.names }
  }

  test('enrols and attests in its sessions by itself, and is quarantined when it launched something else', async () => {
    const { machine, launchOther, launchKnown } = launch()
    const { device, left } = await enroll(machine)
    expect((await device.status()).attestation).toMatchObject({ status: 'ACTIVE', tier: 'affirming', policyId })
    for (const _session of [1, 2]) {
      await device.exchange()
      expect(await device.attest()).toMatchObject({ status: 'ACTIVE', attestation: { tier: 'affirming' } })
    }
    launchOther()
    const found = await device.attest()
    expect(found).toMatchObject({ status: 'QUARANTINED', attestation: { tier: 'contraindicated' } })
    await expect(device.exchange()).rejects.toMatchObject({ code: 'exchange_refused' })
    launchKnown()
    await clearQuarantine(service, found.deviceId)
    await device.exchange()
    expect(await device.attest()).toMatchObject({ status: 'ACTIVE', attestation: { tier: 'affirming' } })
    expect(left()).toEqual([])
  })

  test('that launched something else does not enrol, by the measurement', async () => {
    const { machine, launchOther } = launch()
    launchOther()
    await expect(enroll(machine)).rejects.toMatchObject({
      code: 'evidence_refused',
      message: expect.stringContaining(finding),
    })
  })

  test('that gives a report of before does not enrol: each is over its own challenge', async () => {
    const { machine } = launch()
    const old = machine.report({ inblob: Buffer.alloc(64, 9), privlevel: 0 })
    await expect(enroll({ ...machine, report: () => old })).rejects.toMatchObject({
      code: 'evidence_refused',
      message: expect.stringContaining(`${format}.report_data`),
    })
  })

  test('may be several devices, each with a key of its own', async () => {
    const { machine } = launch()
    const both = await Promise.all([enroll(machine), enroll(machine)])
    const ids = await Promise.all(both.map(async ({ device }) => (await device.status()).deviceId))
    expect(new Set(ids).size).toBe(2)
  })

  test('goes on exchanging while its host makes no reports', async () => {
    const { machine } = launch()
    const busy: TestMachine = { ...machine }
    const { device } = await enroll(busy)
    busy.provider = undefined
    const { session } = await device.exchange()
    expect(session).toBeDefined()
    await expect(device.attest()).rejects.toMatchObject({ code: 'report_unavailable' })
    busy.provider = machine.provider
    expect(await device.attest()).toMatchObject({ status: 'ACTIVE', attestation: { tier: 'affirming' } })
  })
})
