import type { Omissions } from './omissions.ts'
import { corimInvalid, readBytes, readCbor, readId, readList, readMembers, readTagged } from './read-members.ts'

/** A reference-triple-record: measurements of one environment, all of which have to be so together. */
export interface Reference {
  /** Which member of the CoRIM it is, for people. */
  where: string
  environment: unknown
  measurements: readonly Measurement[]
}

export interface Measurement {
  where: string
  mkey: unknown
  /** Its members by their names: those below, and those that the profile adds. */
  values: Readonly<Partial<Record<string, unknown>>>
}

export interface Comid {
  tagId: string
  /** Tags that are wrong, by this one. */
  replaces: readonly string[]
  references: readonly Reference[]
}

/** What a profile adds, by its numbers. */
export interface ComidExtensions {
  values?: Readonly<Record<number, string>>
  triples?: Readonly<Record<number, string>>
}

const COMID = 506
const REPLACES = 1
const SUPPLEMENTS = 0

const comidNames = { 0: 'language', 1: 'tag-identity', 2: 'entities', 3: 'linked-tags', 4: 'triples' } as const

const tripleNames = {
  0: 'reference-triples',
  1: 'endorsed-triples',
  2: 'identity-triples',
  3: 'attest-key-triples',
  4: 'dependency-triples',
  5: 'membership-triples',
  6: 'coswid-triples',
  8: 'conditional-endorsement-series-triples',
  10: 'conditional-endorsement-triples',
} as const

/** Members of a measurement-values-map (draft-ietf-rats-corim-11 §5.1.4.5.2). */
const valueNames = {
  0: 'version',
  1: 'svn',
  2: 'digests',
  3: 'flags',
  4: 'raw-value',
  5: 'raw-value-mask',
  6: 'mac-addr',
  7: 'ip-addr',
  8: 'serial-number',
  9: 'ueid',
  10: 'uuid',
  11: 'name',
  13: 'cryptokeys',
  14: 'integrity-registers',
  15: 'int-range',
} as const

/** A CoMID (draft-ietf-rats-corim-11 §5) in its tag. Throws `corim_invalid`. */
export function readComid(value: unknown, where: string, extensions: ComidExtensions, omissions: Omissions): Comid {
  const content = readCbor(readBytes(readTagged(value, where, COMID), where), where)
  const { 'tag-identity': identity, 'linked-tags': links, triples, ...rest } = readMembers(content, where, comidNames)
  for (const name of Object.keys(rest)) omissions.inform(`${where}.${name}: for people`)
  const { id } = readMembers(identity, `${where}.tag-identity`, { 0: 'id', 1: 'version' })
  return {
    tagId: readId(id, `${where}.tag-identity.tag-id`),
    replaces: links === undefined ? [] : readReplaced(links, `${where}.linked-tags`, omissions),
    references: readTriples(triples, `${where}.triples`, extensions, omissions),
  }
}

function readReplaced(value: unknown, where: string, omissions: Omissions): string[] {
  return readList(value, where).flatMap((link, index) => {
    const place = `${where}[${index}]`
    const { id, relation } = readMembers(link, place, { 0: 'id', 1: 'relation' })
    const target = readId(id, `${place}.linked-tag-id`)
    if (relation === REPLACES) {
      omissions.narrow(`${place}: it replaces the tag ${target}, whose values have to be removed`)
      return [target]
    }
    if (relation !== SUPPLEMENTS) throw corimInvalid(`${place}.tag-rel is not understood.`)
    omissions.inform(`${place}: it supplements the tag ${target}`)
    return []
  })
}

/**
 * What trusts in more has to be trusted with it. All the others add to what is found, or say how to verify it: none of them changes what a
 * reference value allows.
 */
function readTriples(value: unknown, where: string, extensions: ComidExtensions, omissions: Omissions): Reference[] {
  const names: Readonly<Record<number, string>> = { ...tripleNames, ...extensions.triples }
  const { 'reference-triples': references, ...others } = readMembers(value, where, names)
  for (const [name, records] of Object.entries(others)) {
    const { length } = readList(records, `${where}.${name}`)
    if (name === 'dependency-triples') omissions.narrow(`${where}.${name}: what else has to be trusted`)
    else omissions.inform(`${where}.${name}: ${length} of them`)
  }
  const known = { ...valueNames, ...extensions.values }
  if (references === undefined) return []
  const place = `${where}.reference-triples`
  return readList(references, place).map((triple, index) =>
    readReference(triple, `${place}[${index}]`, known, omissions),
  )
}

function readReference(
  value: unknown,
  where: string,
  names: Readonly<Record<number, string>>,
  omissions: Omissions,
): Reference {
  const [environment, claims, ...more] = readList(value, where)
  if (more.length > 0) throw corimInvalid(`${where} is more than an environment and its measurements.`)
  const measurements = readList(claims, `${where}.ref-claims`).map((claim, index): Measurement => {
    const place = `${where}.ref-claims[${index}]`
    const { mkey, mval, authority } = readMembers(claim, place, { 0: 'mkey', 1: 'mval', 2: 'authority' })
    if (authority !== undefined) omissions.narrow(`${place}.authorized-by: whose word it has to be`)
    return { where: place, mkey, values: readMembers(mval, `${place}.mval`, names) }
  })
  return { where, environment, measurements }
}
