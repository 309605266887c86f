import { type KeyObject, sign } from 'node:crypto'
import type { Collateral } from '../../../protocol/attestation/evidence-format.ts'
import type { Json } from '../../../protocol/encoding.ts'
import { TDX_FMSPC, tcbSigner, tdxCrl, tdxKeys, tdxRootCertificate } from './platform.ts'

export const STATEMENT_ISSUED = Date.UTC(2026, 10, 10)
export const STATEMENT_END = Date.UTC(2026, 11, 10)
const toTime = (at: number) => `${new Date(at).toISOString().slice(0, 19)}Z`

type Members = Record<string, Json>

/** Sixteen of them; those that are not given are zero. */
const components = (...svns: number[]) => Array.from({ length: 16 }, (_, index) => ({ svn: svns[index] ?? 0 }))

export interface LevelWish {
  sgx?: number[]
  pce?: number
  tdx?: number[]
  status?: string
  advisories?: string[]
}

export function tcbLevel({ sgx = [5], pce = 11, tdx = [3, 0, 5], status = 'UpToDate', advisories }: LevelWish): Json {
  return {
    tcb: { sgxtcbcomponents: components(...sgx), pcesvn: pce, tdxtcbcomponents: components(...tdx) },
    tcbDate: '2026-02-15T00:00:00Z',
    tcbStatus: status,
    ...(advisories && { advisoryIDs: advisories }),
  }
}

export function isvLevel(isvsvn: number, tcbStatus = 'UpToDate', advisoryIDs?: string[]): Json {
  return { tcb: { isvsvn }, tcbDate: '2026-02-15T00:00:00Z', tcbStatus, ...(advisoryIDs && { advisoryIDs }) }
}

const times = { issueDate: toTime(STATEMENT_ISSUED), nextUpdate: toTime(STATEMENT_END), tcbEvaluationDataNumber: 20 }
const intelModule = { mrsigner: '0'.repeat(96), attributes: '0'.repeat(16), attributesMask: 'F'.repeat(16) }

export function moduleIdentity(version: number, tcbLevels: Json[], changes: Members = {}): Json {
  return { id: `TDX_${version.toString(16).padStart(2, '0').toUpperCase()}`, ...intelModule, tcbLevels, ...changes }
}

export function tcbInfoOf(changes: Members = {}): Members {
  return {
    id: 'TDX',
    version: 3,
    ...times,
    fmspc: TDX_FMSPC.toUpperCase(),
    pceId: '0000',
    tcbType: 0,
    tdxModule: intelModule,
    tcbLevels: [
      tcbLevel({}),
      tcbLevel({ sgx: [4], pce: 5, tdx: [2, 0, 4], status: 'OutOfDate', advisories: ['INTEL-SA-00106'] }),
    ],
    ...changes,
  }
}

export function qeIdentityOf(changes: Members = {}): Members {
  return {
    id: 'TD_QE',
    version: 2,
    ...times,
    miscselect: '00000000',
    miscselectMask: 'FFFFFFFF',
    attributes: '11000000000000000000000000000000',
    attributesMask: 'FBFFFFFFFFFFFFFF0000000000000000',
    mrsigner: 'DC'.repeat(32),
    isvprodid: 2,
    tcbLevels: [isvLevel(4), isvLevel(2, 'OutOfDate', ['INTEL-SA-00999'])],
    ...changes,
  }
}

export interface StatementChanges {
  /** Of the document, before it is used. */
  change?: (text: string) => string
  statement?: string
  signingKey?: KeyObject
  chain?: readonly Uint8Array[]
  lookupId?: string
}

type Kind = 'tdx-tcb-info' | 'tdx-qe-identity'

export function signedStatement(kind: Kind, given: Members, changes: StatementChanges = {}): Collateral {
  const { statement = JSON.stringify(given), signingKey = tdxKeys.signer.privateKey } = changes
  const { change = (text) => text, chain = [tcbSigner(), tdxRootCertificate()] } = changes
  const isInfo = kind === 'tdx-tcb-info'
  const signature = sign('sha256', Buffer.from(statement), { key: signingKey, dsaEncoding: 'ieee-p1363' })
  const member = isInfo ? 'tcbInfo' : 'enclaveIdentity'
  const text = change(`{"${member}":${statement},"signature":"${signature.toString('hex')}"}`)
  return {
    lookupId: changes.lookupId ?? (isInfo ? `tdx-tcb-info:${TDX_FMSPC}` : 'tdx-qe-identity:TD_QE'),
    kind,
    issuedAt: STATEMENT_ISSUED,
    nextUpdateAt: STATEMENT_END,
    body: Buffer.from(text),
    chain,
  }
}

export const tcbInfoDocument = (members?: Members, changes?: StatementChanges) =>
  signedStatement('tdx-tcb-info', tcbInfoOf(members), changes)
export const qeIdentityDocument = (members?: Members, changes?: StatementChanges) =>
  signedStatement('tdx-qe-identity', qeIdentityOf(members), changes)

/** Everything that there should be. */
export function tdxCollateral(
  changes: Partial<Record<'info' | 'identity' | 'rootCrl' | 'authorityCrl', Collateral>> = {},
): Collateral[] {
  return Object.values({
    rootCrl: tdxCrl('root'),
    authorityCrl: tdxCrl('authority'),
    info: tcbInfoDocument(),
    identity: qeIdentityDocument(),
    ...changes,
  })
}
