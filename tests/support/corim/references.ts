import type { CborValue } from '../cbor.ts'
import { psaImplementationId, psaSigner } from '../psa.ts'
import { sevSnpMeasurement } from '../sev-snp/report.ts'
import { type Members, members, tagged } from './corim.ts'

export const digest256 = (byte: number): CborValue[] => [1, Buffer.alloc(32, byte)]
export const digest384 = (byte: number): CborValue[] => [7, Buffer.alloc(48, byte)]
export const hex256 = (byte: number) => Buffer.alloc(32, byte).toString('hex')
export const hex384 = (byte: number) => Buffer.alloc(48, byte).toString('hex')

interface ReferenceChanges {
  environment?: Members
  class?: Members
  /** Instead of all measurements. */
  claims?: readonly CborValue[]
}

function reference(
  classId: CborValue,
  claims: readonly CborValue[],
  { environment = {}, class: changes = {}, claims: given = claims }: ReferenceChanges,
): CborValue {
  return [members({ 0: members({ 0: classId }, changes) }, environment), [...given]]
}

/** A software component: `values` are members of its measurement-values-map. */
export function psaClaim(values: Members = {}, claim: Members = {}): CborValue {
  const base = {
    0: members({ 0: '1.6.0' }),
    2: [digest256(0x3e)],
    11: 'SPE',
    13: [tagged(560, psaSigner)],
  }
  return members({ 0: 'psa.software-component', 1: members(base, values) }, claim)
}

/** As the profile of before has it. */
export function psaRefvalClaim(id: Members = {}, values: Members = {}): CborValue {
  const mkey = tagged(601, members({ 1: 'SPE', 4: '1.6.0', 5: psaSigner }, id))
  return members({ 0: mkey, 1: members({ 2: [digest256(0x3e)] }, values) })
}

/** The release of `psaRelease` in tests/support/psa.ts. */
export function psaReference(changes: ReferenceChanges = {}): CborValue {
  const second = psaClaim({ 0: members({ 0: '0.1.0' }), 2: [digest256(0x4e)], 11: 'NSPE' })
  return reference(tagged(560, psaImplementationId), [psaClaim(), second], changes)
}

/** Of one field of a report. */
export function sevSnpClaim(mkey: CborValue, values: Members): CborValue {
  return members({ 0: mkey, 1: members(values) })
}

export function sevSnpReference(
  changes: ReferenceChanges = {},
  measurement: Uint8Array = sevSnpMeasurement,
): CborValue {
  const classId = tagged(111, Buffer.from('2b060104019c780301', 'hex'))
  return reference(classId, [sevSnpClaim(641, { 2: [[7, measurement]] })], changes)
}

export function tdxClaim(values: Members, claim: Members = {}): CborValue {
  return members({ 1: members(values) }, claim)
}

/** Its registers as those of tests/support/tdx/quote.ts. */
export function tdxReference(changes: ReferenceChanges = {}): CborValue {
  const registers: [CborValue, CborValue][] = [0, 1, 2].map((index) => [index, [digest384(0x10 + index)]])
  return reference(
    tagged(37, Buffer.alloc(16, 0x7d)),
    [tdxClaim({ [-83]: digest384(0xd0), 14: new Map(registers) })],
    changes,
  )
}
