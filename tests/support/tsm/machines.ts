import { toBase64url } from '../../../protocol/encoding.ts'
import { makeSevSnp, type SevSnpOptions } from '../sev-snp/evidence.ts'
import { reportFields } from '../sev-snp/report.ts'
import { makeQuote, type QuoteChanges } from '../tdx/quote.ts'
import type { TestMachine } from './kernel.ts'

/** Of the GHCB specification, in the order of bytes in which AMD's own tools write them. */
export const certificateGuids = {
  VCEK: '63da758de6644564adc5f4b93be8accd',
  VLEK: 'a8074bc2a25a483eaae639c045a0b8a1',
  ASK: '4ab7b379bbac4fe4a02f05aef327c782',
  ARK: 'c0b406a4a803495297433fb6014cd0ae',
} as const
type CertificateName = keyof typeof certificateGuids

/** What a host gives out: entries, one that is all zero, and the certificates. */
export function certificateTable(certificates: readonly (readonly [CertificateName, Uint8Array])[]): Buffer {
  let offset = (certificates.length + 1) * 24
  const entries = certificates.map(([name, { length }]) => {
    const entry = Buffer.concat([Buffer.from(certificateGuids[name], 'hex'), Buffer.alloc(8)])
    entry.writeUInt32LE(offset, 16)
    entry.writeUInt32LE(length, 20)
    offset += length
    return entry
  })
  return Buffer.concat([...entries, Buffer.alloc(24), ...certificates.map(([, bytes]) => bytes)])
}

/** Of a machine that a test may change while it runs. */
export interface SevSnpState extends SevSnpOptions {
  measurement?: Uint8Array
  /** What its host gives out; everything without it. */
  host?: readonly ('key' | 'issuer' | 'root')[]
}

export function sevSnpMachine(state: SevSnpState, more: Partial<TestMachine> = {}): TestMachine {
  return {
    provider: 'sev_guest',
    report({ inblob, privlevel }) {
      const { evidence, certificates } = makeSevSnp({
        ...state,
        change(report) {
          state.change?.(report)
          inblob.copy(report, reportFields.reportData)
          report.writeUInt32LE(privlevel, reportFields.vmpl)
          if (state.measurement !== undefined) report.set(state.measurement, reportFields.measurement)
        },
      })
      const { host = ['key', 'issuer', 'root'], signingKey = 'vcek' } = state
      const all = {
        key: [signingKey === 'vcek' ? 'VCEK' : 'VLEK', certificates.leaf],
        issuer: ['ASK', certificates.issuer],
        root: ['ARK', certificates.root],
      } as const
      return {
        outblob: Buffer.from(evidence['report'] as string, 'base64url'),
        ...(host.length > 0 && { auxblob: certificateTable(host.map((one) => all[one])) }),
      }
    },
    ...more,
  }
}

export function tdxMachine(state: QuoteChanges, more: Partial<TestMachine> = {}): TestMachine {
  return {
    provider: 'tdx_guest',
    report: ({ inblob }) => ({ outblob: makeQuote({ ...state, td: { ...state.td, reportData: inblob } }) }),
    ...more,
  }
}

/** What an organization imports of it, as the API takes it. */
export function collateralWishOf({
  kind,
  body,
  chain,
}: {
  kind: string
  body: Uint8Array
  chain: readonly Uint8Array[]
}) {
  const pem = chain.map(
    (der) => `-----BEGIN CERTIFICATE-----\n${Buffer.from(der).toString('base64')}\n-----END CERTIFICATE-----\n`,
  )
  return { kind, body: toBase64url(body), ...(chain.length > 0 && { chain: pem.join('') }) }
}
