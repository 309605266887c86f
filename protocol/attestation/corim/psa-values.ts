import type { Json } from '../../encoding.ts'
import { Tagged } from '../cbor/decode-cbor.ts'
import type { Measurement, Reference } from './comid.ts'
import { readDigests } from './digests.ts'
import { readClassId } from './environment.ts'
import type { Omissions } from './omissions.ts'
import { corimInvalid, readBytes, readList, readMembers, readTagged, readText, toHex } from './read-members.ts'

const TAGGED_BYTES = 560
/** Of the older profile: of an implementation id, and of what tells one component from another. */
const IMPLEMENTATION_ID = 600
const REFVAL_ID = 601

const SOFTWARE_COMPONENT = 'psa.software-component'

/** Each reference is a reference value of `psa` (draft-fdb-rats-psa-endorsements §3.3, and -03 of it). Throws `corim_invalid`. */
export function toPsaValues(references: readonly Reference[], omissions: Omissions): Json[] {
  return references.map(({ where, environment, measurements }) => {
    const [tag, implementationId = ''] = readClassId(
      environment,
      `${where}.ref-env`,
      ['vendor', 'model'],
      omissions,
    ).split(':')
    if (![TAGGED_BYTES, IMPLEMENTATION_ID].includes(Number(tag)) || implementationId.length !== 64) {
      throw corimInvalid(`${where}.ref-env.class.class-id is no implementation id.`)
    }
    const components = measurements.flatMap((measurement) => toComponents(measurement, omissions))
    return { implementationId, components }
  })
}

/** One for each of its digests, which are of the same component. */
function toComponents({ where, mkey, values }: Measurement, omissions: Omissions): Json[] {
  const { digests, version, name, cryptokeys, ...others } = values
  for (const member of Object.keys(others)) omissions.narrow(`${where}.mval.${member}: of a software component`)
  const measurements = readDigests(digests, `${where}.mval.digests`)
  const facts =
    mkey instanceof Tagged
      ? readRefvalId(mkey, `${where}.mkey`, { version, name, cryptokeys })
      : mkey === SOFTWARE_COMPONENT
        ? { signerId: readSignerId(cryptokeys, `${where}.mval.cryptokeys`), ...readNames({ version, name }, where) }
        : undefined
  if (facts === undefined) throw corimInvalid(`${where}.mkey is not ${SOFTWARE_COMPONENT}.`)
  return measurements.map((measurement) => ({ ...facts, measurement }))
}

function readSignerId(value: unknown, where: string): string {
  const [key, ...more] = readList(value, where)
  if (more.length > 0) throw corimInvalid(`${where} is more than the one signer id.`)
  return toHex(readBytes(readTagged(key, where, TAGGED_BYTES), where))
}

function readNames({ version, name }: { version: unknown; name: unknown }, where: string): Record<string, string> {
  if (version === undefined) return name === undefined ? {} : { type: readText(name, `${where}.mval.name`) }
  const { text, scheme } = readMembers(version, `${where}.mval.version`, { 0: 'text', 1: 'scheme' })
  if (scheme !== undefined) throw corimInvalid(`${where}.mval.version.version-scheme has no place in this profile.`)
  return {
    version: readText(text, `${where}.mval.version.version`),
    ...readNames({ version: undefined, name }, where),
  }
}

/** It says what the members beside it would. */
function readRefvalId(
  mkey: Tagged,
  where: string,
  beside: { version: unknown; name: unknown; cryptokeys: unknown },
): Record<string, string> {
  const id = readMembers(readTagged(mkey, where, REFVAL_ID), where, { 1: 'type', 4: 'version', 5: 'signerId' })
  if (Object.values(beside).some((member) => member !== undefined)) {
    throw corimInvalid(`${where} and mval both say what the component is.`)
  }
  return {
    ...(id.type !== undefined && { type: readText(id.type, `${where}.measurement-type`) }),
    ...(id.version !== undefined && { version: readText(id.version, `${where}.version`) }),
    signerId: toHex(readBytes(id.signerId, `${where}.signer-id`)),
  }
}
