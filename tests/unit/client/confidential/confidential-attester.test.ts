import { X509Certificate } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type ConfidentialFormat,
  createConfidentialAttester,
  openConfidentialAttester,
} from '../../../../client/confidential/confidential-attester.ts'
import { createMemoryStore } from '../../../../client/memory-store.ts'
import { openAttesters } from '../../../../client/open-attesters.ts'
import { sevSnp } from '../../../../protocol/attestation/formats/sev-snp.ts'
import { tdx } from '../../../../protocol/attestation/formats/tdx.ts'
import { toPem } from '../../../../protocol/attestation/x509/pem.ts'
import { fromBase64url, type Json } from '../../../../protocol/encoding.ts'
import { newState } from '../../../support/device-store-contract.ts'
import { makeSevSnp } from '../../../support/sev-snp/evidence.ts'
import { reportFields, sevSnpBinding } from '../../../support/sev-snp/report.ts'
import { tdxAnchor } from '../../../support/tdx/platform.ts'
import { enrollingTdx, tdxBinding } from '../../../support/tdx/quote.ts'
import { createTsmKernel, type TestMachine } from '../../../support/tsm/kernel.ts'
import { type SevSnpState, sevSnpMachine, tdxMachine } from '../../../support/tsm/machines.ts'
import { memoryReports } from '../../../support/tsm/memory-reports.ts'
import { spkiOf, testKeyPair } from '../../../support/x509-signing.ts'

const attesterOf = (machine: TestMachine, format: ConfidentialFormat = 'sev-snp', certificates: string[] = []) =>
  createConfidentialAttester(format, { certificates }, memoryReports(createTsmKernel(machine)))
const chainOf = (evidence: Record<string, Json>) =>
  ((evidence['chain'] ?? []) as string[]).map((one) => new X509Certificate(fromBase64url(one)).subject)

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'qflare-confidential-'))
})
afterAll(() => rm(folder, { recursive: true }))

/** As AMD gives them out. */
async function filesOf(state: SevSnpState): Promise<string[]> {
  const { leaf, issuer, root } = makeSevSnp(state).certificates
  const [vcek, chain] = [join(folder, 'vcek'), join(folder, 'cert_chain')]
  await writeFile(vcek, leaf)
  await writeFile(chain, [issuer, root].map((der) => toPem(der, 'CERTIFICATE')).join(''))
  return [vcek, chain]
}

describe('the attester of a machine of SEV-SNP', () => {
  it.each<SevSnpState>([
    { product: 'Milan' },
    { product: 'Genoa' },
    { product: 'Turin' },
    { signingKey: 'vlek' },
    { version: 2 },
  ])('gives evidence that is verified, with what its host gives out: %j', async (state) => {
    const evidence = await attesterOf(sevSnpMachine(state)).collect(sevSnpBinding)
    const { anchors, expected } = makeSevSnp(state)
    expect(() => sevSnp.parse(evidence).verify(anchors, expected)).not.toThrow()
    expect(chainOf(evidence)).toEqual([
      `CN=SEV-${state.signingKey === 'vlek' ? 'VLEK-' : ''}${state.product ?? 'Milan'}`,
    ])
    const other = { ...expected, binding: Buffer.alloc(32, 1) }
    expect(() => sevSnp.parse(evidence).verify(anchors, other)).toThrow(
      expect.objectContaining({ check: 'sev-snp.report_data' }),
    )
  })

  it.each<{ host: NonNullable<SevSnpState['host']> }>([{ host: [] }, { host: ['issuer', 'root'] }, { host: ['key'] }])(
    'takes from files what its host leaves out: %j',
    async (state) => {
      const evidence = await attesterOf(sevSnpMachine(state), 'sev-snp', await filesOf({})).collect(sevSnpBinding)
      const { anchors, expected } = makeSevSnp()
      expect(() => sevSnp.parse(evidence).verify(anchors, expected)).not.toThrow()
      expect(chainOf(evidence)).toEqual(['CN=SEV-Milan'])
    },
  )

  it('asks for no file where the host leaves nothing out, and does without an authority that nobody gives', async () => {
    const none = join(folder, 'none')
    expect(chainOf(await attesterOf(sevSnpMachine({}), 'sev-snp', [none]).collect(sevSnpBinding))).toHaveLength(1)
    expect(chainOf(await attesterOf(sevSnpMachine({ host: ['key'] })).collect(sevSnpBinding))).toHaveLength(0)
  })

  it('takes the certificate of the key that signed this report, and no other, which another firmware has', async () => {
    const before = await filesOf({ leaf: { spki: spkiOf(testKeyPair('P-384', 'another firmware')) } })
    const attester = attesterOf(sevSnpMachine({ host: ['issuer'] }), 'sev-snp', before)
    await expect(attester.collect(sevSnpBinding)).rejects.toMatchObject({
      code: 'certificates_missing',
      message: expect.stringContaining(`no certificate of the key that signed the report, nor is it in ${before[0]}`),
    })
    await filesOf({})
    expect(chainOf(await attester.collect(sevSnpBinding))).toEqual(['CN=SEV-Milan'])
  })

  const chip = 'c1'.repeat(64)
  it.each<[string, SevSnpState, string]>([
    [
      'Milan',
      { product: 'Milan' },
      `Fetch https://kdsintf.amd.com/vcek/v1/Milan/${chip}?blSPL=4&teeSPL=2&snpSPL=24&ucodeSPL=219 and https://kdsintf.amd.com/vcek/v1/Milan/cert_chain, and name`,
    ],
    ['Genoa', { product: 'Genoa' }, `Fetch https://kdsintf.amd.com/vcek/v1/Genoa/${chip}?blSPL=4&`],
    [
      'Turin',
      { product: 'Turin' },
      `/vcek/v1/Turin/${'c1'.repeat(8)}?fmcSPL=1&blSPL=4&teeSPL=2&snpSPL=24&ucodeSPL=219 and`,
    ],
    ['a processor that its report does not name', { version: 2 }, '(Genoa in the place of Milan on such a processor)'],
    ['a cloud with keys of its own', { signingKey: 'vlek' }, 'https://kdsintf.amd.com/vlek/v1/Milan/cert_chain'],
    [
      'a chip that its host hides',
      { change: (report) => void report.fill(0, reportFields.chipId, reportFields.chipId + 64) },
      'only who runs the host can fetch the VCEK',
    ],
  ])('says what to fetch, and from where, of %s', async (_what, state, message) => {
    const refused = attesterOf(sevSnpMachine({ ...state, host: [] })).collect(sevSnpBinding)
    await expect(refused).rejects.toMatchObject({
      code: 'certificates_missing',
      message: expect.stringContaining(message),
    })
    await expect(refused).rejects.toThrow(/^The host gives no certificates\. .* --certificates\.$/)
  })

  it.each<[string, (report: Uint8Array) => Uint8Array]>([
    ['is cut off', (report) => report.subarray(1)],
    ['is of a version that is not known', (report) => Uint8Array.from(report, (byte, at) => (at === 0 ? 9 : byte))],
  ])('says that a report %s', async (_what, change) => {
    const machine = sevSnpMachine({})
    const broken = { ...machine, report: (asked: never) => ({ outblob: change(machine.report(asked).outblob) }) }
    await expect(attesterOf(broken).collect(sevSnpBinding)).rejects.toMatchObject({
      code: 'report_unavailable',
      message: expect.stringMatching(/^The report cannot be read: /),
    })
  })
})

describe('the attester of a trust domain', () => {
  it.each([{ version: 4 }, { version: 5, report: '1.5' }, { behind: { quote: Buffer.alloc(2000) } }] as const)(
    'gives evidence that is verified, of a quote with %j',
    async (state) => {
      const evidence = await attesterOf(tdxMachine(state), 'tdx').collect(tdxBinding)
      expect(Object.keys(evidence)).toEqual(['format', 'quote'])
      expect(() => tdx.parse(evidence).verify([tdxAnchor()], enrollingTdx)).not.toThrow()
    },
  )
})

describe('the attester of a confidential machine', () => {
  it('gives nothing on a machine of another kind than the device enrolled on', async () => {
    await expect(attesterOf(tdxMachine({}), 'sev-snp').collect(sevSnpBinding)).rejects.toMatchObject({
      code: 'report_unavailable',
      message: 'This machine attests with tdx, and this device with sev-snp: enrol it anew.',
    })
    const other = attesterOf({ ...tdxMachine({}), provider: 'arm_cca_guest' }, 'tdx')
    await expect(other.collect(tdxBinding)).rejects.toMatchObject({ message: expect.stringContaining('arm_cca_guest') })
  })

  it('remembers files by their whole path, and not where the kernel is', async () => {
    const { settings } = createConfidentialAttester('sev-snp', { reports: '/somewhere', certificates: ['vcek.der'] })
    expect(settings).toEqual({ certificates: [resolve('vcek.der')] })
    expect(createConfidentialAttester('tdx', {}).settings).toEqual({})
  })

  it.each([{ reports: '' }, { certificates: 'vcek' }, { certificates: [''] }, { vmpl: 1 }])(
    'takes no wrong options: %j',
    async (wrong) => {
      await expect(openConfidentialAttester(wrong as object)).rejects.toMatchObject({ code: 'input_invalid' })
    },
  )

  async function storeOf(format: string, settings: Record<string, Json>) {
    const store = createMemoryStore()
    await store.save({ ...(await newState()), attesters: [{ format, settings }] })
    return store
  }

  it('is opened again from what is stored', async () => {
    for (const [format, settings] of [
      ['sev-snp', { certificates: ['/etc/vcek'] }],
      ['tdx', {}],
    ] as const) {
      const [attester] = await openAttesters(await storeOf(format, settings as never), { reports: folder })
      expect(attester).toMatchObject({ format, settings })
      await expect(attester?.collect(tdxBinding)).rejects.toMatchObject({ code: 'report_unavailable' })
    }
  })

  it.each<[Record<string, Json>, string]>([
    [{ reports: '/tmp/mine' }, 'state_unusable'],
    [{ certificates: [7] }, 'input_invalid'],
    [{ library: '/tmp/mine.so' }, 'input_invalid'],
  ])('takes from a state nothing else: %j', async (settings, code) => {
    await expect(openAttesters(await storeOf('sev-snp', settings))).rejects.toMatchObject({ code })
  })
})
