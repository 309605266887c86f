import type { Json } from '../../encoding.ts'
import { Tagged } from '../cbor/decode-cbor.ts'
import type { AnchoredFormat } from '../trust-anchor-wish.ts'
import type { ComidExtensions, Reference } from './comid.ts'
import type { Omissions } from './omissions.ts'
import { toPsaValues } from './psa-values.ts'
import { corimInvalid, readBytes, readText, toHex } from './read-members.ts'
import { toSevSnpValues } from './sev-snp-values.ts'
import { tdxValueNames, toTdxValues } from './tdx-values.ts'

export interface Profile extends ComidExtensions {
  format: AnchoredFormat
  /** Throws `corim_invalid`. */
  toValues(references: readonly Reference[], omissions: Omissions): Json[]
}

const URI = 32
const OID = 111

const psa: Profile = {
  format: 'psa',
  toValues: toPsaValues,
  values: { 100: 'psa-cert-num' },
  triples: { 50: 'psa-swrel-triples' },
}
const sevSnp: Profile = { format: 'sev-snp', toValues: toSevSnpValues }
const tdx: Profile = { format: 'tdx', toValues: toTdxValues, values: tdxValueNames }

/** A CoRIM of another one must be rejected (draft-ietf-rats-corim-11 §4.1). */
const profiles: ReadonlyMap<string, Profile> = new Map([
  ['tag:arm.com,2025:psa#1.0.0', psa],
  ['http://arm.com/psa/iot/1', psa],
  ['tag:amd.com,2025:snp-corim-profile', sevSnp],
  ['tag:amd.com,2024:snp-corim-profile', sevSnp],
  ['2.16.840.1.113741.1.16.1', tdx],
])

/** In BER, without their head (RFC 9090). */
const oids: ReadonlyMap<string, string> = new Map([['6086480186f84d011001', '2.16.840.1.113741.1.16.1']])

/** A URI or an object identifier; drafts before 03 have an array of one. Throws `corim_invalid`. */
export function readProfile(given: unknown): { name: string; profile: Profile } {
  const [value, ...more] = Array.isArray(given) ? (given as unknown[]) : [given]
  if (more.length > 0) throw corimInvalid('profile names more than one.')
  const name = readName(value)
  const profile = profiles.get(name)
  if (profile === undefined) throw corimInvalid(`profile ${JSON.stringify(name)} is not known.`)
  return { name, profile }
}

function readName(value: unknown): string {
  if (value === undefined) throw corimInvalid('profile is not there: nothing says what the values mean.')
  if (value instanceof Tagged && value.tag === URI) return readText(value.value, 'profile')
  if (!(value instanceof Tagged) || value.tag !== OID) throw corimInvalid('profile is neither a URI nor an OID.')
  const hex = toHex(readBytes(value.value, 'profile'))
  return oids.get(hex) ?? `OID ${hex}`
}
