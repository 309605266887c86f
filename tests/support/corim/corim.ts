import { type KeyObject, sign } from 'node:crypto'
import { type CborValue, cbor, cborHead, RawCbor } from '../cbor.ts'
import { psaKeyPair } from '../psa.ts'

/** Members of a map by their numbers; `undefined` leaves one out. */
export type Members = Readonly<Record<number, CborValue | undefined>>

export const corimNow = Date.UTC(2026, 10, 29)
export const corimProfiles = {
  psa: tagged(32, 'tag:arm.com,2025:psa#1.0.0'),
  'psa of before': [tagged(32, 'http://arm.com/psa/iot/1')],
  'sev-snp': tagged(32, 'tag:amd.com,2025:snp-corim-profile'),
  tdx: tagged(111, Buffer.from('6086480186f84d011001', 'hex')),
} as const
export type CorimProfile = keyof typeof corimProfiles

export function tagged(tag: number, value: CborValue): RawCbor {
  return new RawCbor(Buffer.concat([cborHead(6, tag), cbor(value)]))
}

/** What is not given in `changes` is as in `base`. */
export function members(base: Members, changes: Members = {}): Map<CborValue, CborValue> {
  const entries = Object.entries({ ...base, ...changes }).flatMap(([key, value]): [CborValue, CborValue][] =>
    value === undefined ? [] : [[Number(key), value]],
  )
  return new Map(entries)
}

export function epochTime(seconds: number): RawCbor {
  return tagged(1, seconds)
}

/** One fault at a time: what is not given is as it should be. */
export interface CorimChanges {
  profile?: CorimProfile
  /** Members of the CoRIM, of its one CoMID and of the triples of that. */
  corim?: Members
  comid?: Members
  triples?: Members
  references?: readonly CborValue[]
}

export function makeComid({ comid = {}, triples = {}, references = [] }: CorimChanges = {}): RawCbor {
  const all = members({ 0: references }, triples)
  return tagged(506, cbor(members({ 1: members({ 0: 'a tag' }), 4: all }, comid)))
}

export function makeCorim(changes: CorimChanges = {}): Buffer {
  const { profile = 'psa', corim = {} } = changes
  const all = members({ 0: 'a release', 1: [makeComid(changes)], 3: corimProfiles[profile] }, corim)
  return cbor(tagged(501, all))
}

export interface SignatureChanges {
  /** Of the protected header, beside its algorithm. */
  header?: Members
  algorithm?: CborValue | undefined
  unprotected?: CborValue
  signingKey?: KeyObject
  payload?: Uint8Array
  /** Of the four parts, once they are signed. */
  changeParts?: (parts: CborValue[]) => CborValue
}

const algorithms = { ES256: -7, ES384: -35, ES512: -36 } as const

/** As a COSE_Sign1. */
export function signCorim(
  payload: Uint8Array,
  changes: SignatureChanges = {},
  name: keyof typeof algorithms = 'ES256',
): Buffer {
  const { header = {}, unprotected = new Map(), signingKey = psaKeyPair(name).privateKey } = changes
  const { changeParts = (parts) => parts } = changes
  const base: Members = {
    1: algorithms[name],
    3: 'application/rim+cbor',
    15: members({ 1: 'Acme Ltd.' }),
  }
  const protectedBytes = cbor(members(base, header))
  const signed = cbor(['Signature1', protectedBytes, Buffer.alloc(0), payload])
  const hash = name.replace('ES', 'sha')
  const signature = sign(hash, signed, { key: signingKey, dsaEncoding: 'ieee-p1363' })
  return Buffer.concat([Buffer.of(0xd2), cbor(changeParts([protectedBytes, unprotected, payload, signature]))])
}

/** `corim-meta`, with a validity in seconds or without. */
export function corimMeta(name: CborValue, validity?: Members): Buffer {
  return cbor(members({ 0: members({ 0: name }), 1: validity === undefined ? undefined : members(validity) }))
}
