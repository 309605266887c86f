import type { Json } from '../../encoding.ts'
import { Tagged } from '../cbor/decode-cbor.ts'
import type { Measurement, Reference } from './comid.ts'
import { readSha384 } from './digests.ts'
import { readClassId } from './environment.ts'
import type { Omissions } from './omissions.ts'
import { corimInvalid, readList, readMap } from './read-members.ts'

/** 2.16.840.1.113741: enclaves of Intel's own, the TDX module and the platform stand below it. None is assigned to trust domains. */
const INTEL_ARC = '111:6086480186f84d'
/** What the profile adds to a measurement (draft-cds-rats-intel-corim-profile-06 §8). */
export const tdxValueNames = {
  [-70]: 'tee.vendor',
  [-71]: 'tee.model',
  [-72]: 'tee.tcbdate',
  [-73]: 'tee.isvsvn',
  [-77]: 'tee.instance-id',
  [-80]: 'tee.pceid',
  [-81]: 'tee.miscselect',
  [-82]: 'tee.attributes',
  [-83]: 'tee.mrtee',
  [-84]: 'tee.mrsigner',
  [-85]: 'tee.isvprodid',
  [-86]: 'tee.tcb-eval-num',
  [-88]: 'tee.tcbstatus',
  [-89]: 'tee.advisory-ids',
  [-91]: 'tee.cryptokeys',
  [-101]: 'tee.platform-instance-id',
  [-125]: 'tee.tcb-comp-svn',
} as const
/** As a key of a measurement, with the digest beside it: `tee.mrtee` again. */
const MRTEE = 83
const SET_OF_DIGESTS = 60020
const MEMBER = 6
/** As many values of one name as the service takes. */
const MAX_ALTERNATIVES = 64

type Registers = Map<string, string[]>

/** Each reference is a trust domain, or several where it allows more than one digest of a register. Throws `corim_invalid`. */
export function toTdxValues(references: readonly Reference[], omissions: Omissions): Json[] {
  return references.flatMap(({ where, environment, measurements }) => {
    if (readClassId(environment, `${where}.ref-env`, ['vendor', 'model'], omissions).startsWith(INTEL_ARC)) {
      throw corimInvalid(`${where}.ref-env.class.class-id is of something that Intel makes, and of no trust domain.`)
    }
    const registers: Registers = new Map()
    for (const measurement of measurements) readRegisters(measurement, registers, omissions)
    if (registers.size === 0) throw corimInvalid(`${where} has neither tee.mrtee nor integrity-registers.`)
    return alternativesOf(registers, where)
  })
}

function readRegisters({ where, mkey, values }: Measurement, registers: Registers, omissions: Omissions): void {
  const add = (name: string, allowed: string[]) => {
    if (registers.has(name)) throw corimInvalid(`${where}.mval says twice what ${name} is.`)
    registers.set(name, allowed)
  }
  const { 'tee.mrtee': mrTd, digests, 'integrity-registers': integrity, ...others } = values
  if (mkey !== undefined && mkey !== MRTEE) throw corimInvalid(`${where}.mkey is not understood.`)
  for (const member of Object.keys(others)) omissions.narrow(`${where}.mval.${member}: of a trust domain`)
  if (mrTd !== undefined) add('mrTd', readAllowed(mrTd, `${where}.mval.tee.mrtee`))
  if (digests !== undefined) {
    if (mkey !== MRTEE) throw corimInvalid(`${where}.mval.digests: of what they are no mkey says.`)
    add('mrTd', [readOne(digests, `${where}.mval.digests`)])
  }
  if (integrity === undefined) return
  for (const [id, allowed] of readMap(integrity, `${where}.mval.integrity-registers`)) {
    const place = `${where}.mval.integrity-registers.${String(id)}`
    const [, index] = /^(?:rtmr)?([0-3])$/.exec(String(id)) ?? []
    if (index === undefined || id === index) throw corimInvalid(`${place} is none of 0 to 3 and rtmr0 to rtmr3.`)
    add(
      `rtmr${index}`,
      readList(allowed, place).map((digest) => readSha384(digest, place)),
    )
  }
}

/** A digest, an array of one, or an expression that it is one of several. */
function readAllowed(value: unknown, where: string): string[] {
  if (!(value instanceof Tagged)) {
    const list = readList(value, where)
    return [Array.isArray(list[0]) ? readOne(value, where) : readSha384(value, where)]
  }
  const [operator, digests, ...more] = value.tag === SET_OF_DIGESTS ? readList(value.value, where) : []
  if (operator !== MEMBER || more.length > 0) throw corimInvalid(`${where} is no digest, and no expression of members.`)
  return readList(digests, where).map((digest) => readSha384(digest, where))
}

/** Of several, evidence would have to have all. */
function readOne(value: unknown, where: string): string {
  const [digest, ...more] = readList(value, where)
  if (more.length > 0) throw corimInvalid(`${where} is more than the one digest of a register.`)
  return readSha384(digest, where)
}

/** What any choice of one digest for each register gives. */
function alternativesOf(registers: Registers, where: string): Json[] {
  let found: Record<string, string>[] = [{}]
  for (const [name, allowed] of registers) {
    if (found.length * allowed.length > MAX_ALTERNATIVES) {
      throw corimInvalid(`${where} allows more than ${MAX_ALTERNATIVES} states of its registers.`)
    }
    found = found.flatMap((one) => allowed.map((digest) => ({ ...one, [name]: digest })))
  }
  return found
}
