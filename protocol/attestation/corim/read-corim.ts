import type { Json } from '../../encoding.ts'
import { Tagged } from '../cbor/decode-cbor.ts'
import { evidenceFormats } from '../formats.ts'
import type { AnchoredFormat } from '../trust-anchor-wish.ts'
import { type Comid, readComid } from './comid.ts'
import { openCorim } from './envelope.ts'
import { createOmissions, type Omissions } from './omissions.ts'
import { type Profile, readProfile } from './profiles.ts'
import { corimInvalid, readCbor, readId, readList, readMembers, readTagged } from './read-members.ts'
import { readValidity, requireValid, type Validity } from './validity.ts'
import { verifySignature } from './verify-signature.ts'

/** How far a CoRIM is trusted, and what of it is taken. */
export interface CorimReading {
  /** Milliseconds since the Unix epoch. */
  now: number
  /** The key that has to have signed it, a SubjectPublicKeyInfo; undefined where nobody has to. */
  signer: Uint8Array | undefined
  /** To take a signed one without a key to verify it with. */
  unverified: boolean
  /** To take values without their conditions that no reference value can have. */
  partial: boolean
}

/** Reference values as `POST /v1/reference-values` takes them, and what people want to know of them. */
export interface Corim {
  id: string
  profile: string
  format: AnchoredFormat
  values: readonly Json[]
  /** Whom its header names; null of one that is not signed. */
  signerName: string | null
  isVerified: boolean
  /** The earliest of the ends that it names, milliseconds since the Unix epoch. */
  notAfterAt: number | null
  /** What it says besides, for people. */
  notTaken: readonly string[]
}

const CORIM = 501
const COSWID = 505
const COTL = 508
/** Of one name (docs/api.md). */
const MAX_VALUES = 64

const corimNames = {
  0: 'id',
  1: 'tags',
  2: 'dependent-rims',
  3: 'profile',
  4: 'rim-validity',
  5: 'entities',
} as const

/**
 * The reference values of a CoRIM (draft-ietf-rats-corim-11), signed or not: the subset of docs/corim.md, and what is neither
 * taken nor without meaning is refused by its name. Attacker-controlled input. Throws `corim_invalid`.
 */
export function readCorim(bytes: Uint8Array, { now, signer, unverified, partial }: CorimReading): Corim {
  const { content, signature } = openCorim(bytes)
  if (signature === undefined && signer !== undefined) throw corimInvalid('It is not signed.')
  if (signature !== undefined) {
    if (signer !== undefined) verifySignature(signature, signer)
    else if (!unverified) throw corimInvalid('It is signed, and no key is given to verify that with.')
  }
  const map = readMembers(readTagged(readCbor(content, 'The CoRIM'), 'The CoRIM', CORIM), 'The CoRIM', corimNames)
  const validity = map['rim-validity'] === undefined ? undefined : readValidity(map['rim-validity'], 'rim-validity')
  const signatureValidities = signature?.validities ?? []
  if (validity !== undefined) requireValid(validity, now, 'rim-validity')
  for (const one of signatureValidities) requireValid(one, now, 'signature-validity')
  const { name, profile } = readProfile(map.profile)
  const omissions = createOmissions(partial)
  for (const member of ['dependent-rims', 'entities'] as const) {
    if (map[member] !== undefined) omissions.inform(`${member}: for people`)
  }
  const comids = readTags(map.tags, profile, omissions)
  const values = toValues(comids, profile, omissions)
  return {
    id: readId(map.id, 'id'),
    profile: name,
    format: profile.format,
    values,
    signerName: signature?.signerName ?? null,
    isVerified: signer !== undefined,
    notAfterAt: earliestEnd([...(validity === undefined ? [] : [validity]), ...signatureValidities]),
    notTaken: omissions.notTaken,
  }
}

function readTags(value: unknown, profile: Profile, omissions: Omissions): Comid[] {
  return readList(value, 'tags').flatMap((tag, index) => {
    const where = `tags[${index}]`
    if (!(tag instanceof Tagged)) throw corimInvalid(`${where} has no tag.`)
    if (tag.tag === COTL) throw corimInvalid(`${where}: a CoTL, which says which tags hold, is not understood.`)
    if (tag.tag !== COSWID) return [readComid(tag, where, profile, omissions)]
    omissions.inform(`${where}: a CoSWID`)
    return []
  })
}

/** As the service would read them. */
function toValues(comids: readonly Comid[], profile: Profile, omissions: Omissions): Json[] {
  const ids = new Set(comids.map(({ tagId }) => tagId))
  if (ids.size < comids.length) throw corimInvalid('tags: two of them have the same tag-id.')
  const replaced = comids.flatMap(({ replaces }) => replaces).find((id) => ids.has(id))
  if (replaced !== undefined) throw corimInvalid(`tags: ${replaced} is in it, and replaced by another one.`)
  const values = profile.toValues(
    comids.flatMap(({ references }) => references),
    omissions,
  )
  if (values.length === 0) throw corimInvalid('tags: there are no reference-triples in them.')
  if (values.length > MAX_VALUES)
    throw corimInvalid(`tags: there are more than ${MAX_VALUES} reference values in them.`)
  const { referenceValue } = evidenceFormats[profile.format]
  for (const [index, value] of values.entries()) {
    const [issue] = referenceValue.safeParse(value).error?.issues ?? []
    if (issue === undefined) continue
    const place = issue.path.map(String).join('.')
    throw corimInvalid(`Value ${index + 1} is no reference value of ${profile.format}: ${place}: ${issue.message}`)
  }
  return values
}

function earliestEnd(validities: readonly Validity[]): number | null {
  const ends = validities.flatMap(({ notAfterAt }) => notAfterAt ?? [])
  return ends.length === 0 ? null : Math.min(...ends)
}
