import { Tagged } from '../cbor/decode-cbor.ts'
import type { Omissions } from './omissions.ts'
import { corimInvalid, readBytes, readMembers, toHex } from './read-members.ts'

/** `<tag>:<hex>`, such as `560:…`. */
export type ClassId = `${number}:${string}`

/** An object identifier, a UUID, a PSA implementation id of the older profile, bytes. */
const classIdTags = [111, 37, 600, 560]

const environmentNames = { 0: 'class', 1: 'instance', 2: 'group' } as const
const classNames = { 0: 'class-id', 1: 'vendor', 2: 'model', 3: 'layer', 4: 'index' } as const

/**
 * The class id, by which evidence is found. `labels` are members of the class that tell people of the same thing again; every other
 * member makes the environment smaller than the reference values of a format can. Throws `corim_invalid`.
 */
export function readClassId(
  value: unknown,
  where: string,
  labels: readonly ('vendor' | 'model')[],
  omissions: Omissions,
): ClassId {
  const { class: given, ...others } = readMembers(value, where, environmentNames)
  const { 'class-id': id, ...rest } = readMembers(given, `${where}.class`, classNames)
  for (const name of Object.keys(others)) omissions.narrow(`${where}.${name}: of these alone`)
  for (const name of Object.keys(rest)) {
    if (labels.some((label) => label === name)) omissions.inform(`${where}.class.${name}: for people`)
    else omissions.narrow(`${where}.class.${name}: of these alone`)
  }
  if (!(id instanceof Tagged) || !classIdTags.includes(id.tag)) {
    throw corimInvalid(`${where}.class.class-id is of no kind that is known.`)
  }
  return `${id.tag}:${toHex(readBytes(id.value, `${where}.class.class-id`))}`
}
