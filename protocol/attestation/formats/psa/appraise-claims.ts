import { z } from 'zod'
import { printable } from '../../../wire.ts'
import type { Finding } from '../../appraisal.ts'
import { isVersion, isVersionAtLeast } from '../../versions.ts'
import type { PsaClaims, SoftwareComponent } from './claims.ts'
import { findLifecycleName, lifecycleNames } from './lifecycles.ts'
import { profileNames } from './profiles.ts'

const hexBytes = (...lengths: [number, ...number[]]) =>
  z
    .string()
    .regex(/^([0-9a-f]{2})+$/)
    .refine((value) => lengths.includes(value.length / 2))
    .meta({ description: `${lengths.join(' or ')} bytes in lower-case hexadecimal` })

const hash = hexBytes(32, 48, 64)
const implementationId = hexBytes(32)
const type = printable.min(1).max(64)
const version = printable.min(1).max(64)

/** What a policy may say of a token. */
export const psaRules = z.strictObject({
  profiles: z
    .array(z.enum(profileNames))
    .min(1)
    .default([...profileNames])
    .meta({ description: 'taken: all of them unless it says otherwise' }),
  lifecycles: z
    .array(z.enum(lifecycleNames))
    .min(1)
    .default(['secured'])
    .meta({ description: 'security lifecycles in which a device may be' }),
  implementationIds: z
    .array(implementationId)
    .max(256)
    .default([])
    .meta({ description: 'allowed besides those of the reference values' }),
  clients: z
    .array(z.enum(['secure', 'non-secure']))
    .min(1)
    .default(['secure', 'non-secure'])
    .meta({ description: 'who on the device may have asked for the token' }),
  required: z
    .array(
      z.strictObject({
        type,
        signerId: hash.exactOptional(),
        minimumVersion: version.refine(isVersion, 'Not numbers with dots between them.').exactOptional(),
      }),
    )
    .max(64)
    .default([])
    .meta({ description: 'software components that have to be there' }),
  unlisted: z
    .enum(['warning', 'contraindicated'])
    .default('warning')
    .meta({ description: 'what software components are that no reference value has' }),
})
export type PsaRules = z.output<typeof psaRules>

/** One release of the software for one implementation. What is not said of a component may be anything. */
export const psaReference = z.strictObject({
  implementationId,
  components: z
    .array(
      z.strictObject({
        type: type.exactOptional(),
        measurement: hash,
        signerId: hash,
        version: version.exactOptional(),
      }),
    )
    .min(1)
    .max(64),
})
export type PsaReference = z.output<typeof psaReference>

/** Values of AR4SI (draft-ietf-rats-ar4si §2.3.4) for what is found here. */
const values = {
  'instance-identity': { recognized: 2, unrecognized: 97 },
  configuration: { approved: 2, acceptable: 3, unsupported: 96 },
  hardware: { unknown: 0, genuine: 2, unrecognized: 97 },
  executables: { approved: 3, unrecognized: 33, contraindicated: 96 },
} as const

/** Pure. One finding for each line of what is looked at. */
export function appraiseClaims(claims: PsaClaims, references: readonly PsaReference[], rules: PsaRules): Finding[] {
  const ofImplementation = references.filter((one) => one.implementationId === claims.implementationId)
  return [
    {
      check: 'psa.instance',
      claim: 'instance-identity',
      value: values['instance-identity'].recognized,
      detail: `The token is signed by the key of instance ${claims.instanceId}.`,
    },
    appraiseClient(claims, rules),
    appraiseProfile(claims, rules),
    appraiseLifecycle(claims, rules),
    appraiseImplementation(claims, references, rules),
    ...appraiseComponents(claims, ofImplementation, rules),
    ...rules.required.map((one) => appraiseRequired(claims, one)),
  ]
}

function appraiseClient({ clientId }: PsaClaims, { clients }: PsaRules): Finding {
  const client = clientId > 0 ? 'secure' : 'non-secure'
  const { recognized, unrecognized } = values['instance-identity']
  return {
    check: 'psa.client',
    claim: 'instance-identity',
    value: clients.includes(client) ? recognized : unrecognized,
    detail: `Client ${clientId} of the ${client} side asked for the token; it may come from: ${clients.join(', ')}.`,
  }
}

function appraiseProfile({ profile }: PsaClaims, { profiles }: PsaRules): Finding {
  const { approved, unsupported } = values.configuration
  return {
    check: 'psa.profile',
    claim: 'configuration',
    value: profiles.includes(profile) ? approved : unsupported,
    detail: `The profile is ${profile}; allowed: ${profiles.join(', ')}.`,
  }
}

function appraiseLifecycle({ lifecycle }: PsaClaims, { lifecycles }: PsaRules): Finding {
  const name = findLifecycleName(lifecycle) ?? 'unknown'
  const { approved, acceptable, unsupported } = values.configuration
  const allowed = name === 'secured' ? approved : acceptable
  return {
    check: 'psa.lifecycle',
    claim: 'configuration',
    value: lifecycles.includes(name) ? allowed : unsupported,
    detail: `The security lifecycle is ${name} (0x${lifecycle.toString(16).padStart(4, '0')}); allowed: ${lifecycles.join(', ')}.`,
  }
}

function appraiseImplementation(
  { implementationId: id }: PsaClaims,
  references: readonly PsaReference[],
  { implementationIds }: PsaRules,
): Finding {
  const known = [...implementationIds, ...references.map((one) => one.implementationId)]
  const { unknown, genuine, unrecognized } = values.hardware
  const [value, found] = known.includes(id)
    ? [genuine, 'is known']
    : known.length === 0
      ? [unknown, 'is not compared: neither policy nor reference values name any']
      : [unrecognized, 'is none of those that policy and reference values name']
  return { check: 'psa.implementation', claim: 'hardware', value, detail: `Implementation ${id} ${found}.` }
}

function appraiseComponents(
  { components }: PsaClaims,
  references: readonly PsaReference[],
  { unlisted }: PsaRules,
): Finding[] {
  const { approved, unrecognized, contraindicated } = values.executables
  const bad = unlisted === 'warning' ? unrecognized : contraindicated
  const finding = (value: number, detail: string): Finding => ({
    check: 'psa.component',
    claim: 'executables',
    value,
    detail,
  })
  if (components.length === 0) return [finding(bad, 'The token says that no software is measured.')]
  const listed = references.flatMap((one) => one.components)
  return components.map((component) =>
    listed.some((one) => isListed(component, one))
      ? finding(approved, `${describe(component)} is in the reference values.`)
      : finding(bad, `${describe(component)} is in no reference value of this implementation.`),
  )
}

function isListed(component: SoftwareComponent, listed: PsaReference['components'][number]): boolean {
  return (
    component.measurement === listed.measurement &&
    component.signerId === listed.signerId &&
    (listed.type === undefined || component.type === listed.type) &&
    (listed.version === undefined || component.version === listed.version)
  )
}

function appraiseRequired({ components }: PsaClaims, wanted: PsaRules['required'][number]): Finding {
  const { type, signerId, minimumVersion } = wanted
  const isThere = components.some(
    (component) =>
      component.type === type &&
      (signerId === undefined || component.signerId === signerId) &&
      (minimumVersion === undefined || isVersionAtLeast(component.version ?? '', minimumVersion)),
  )
  const terms = [
    ...(signerId === undefined ? [] : [`signed by ${signerId}`]),
    ...(minimumVersion === undefined ? [] : [`at least ${minimumVersion}`]),
  ]
  const { approved, contraindicated } = values.executables
  return {
    check: 'psa.required',
    claim: 'executables',
    value: isThere ? approved : contraindicated,
    detail: `${[type, ...terms].join(', ')}: ${isThere ? 'is there' : 'is required, and not there'}.`,
  }
}

function describe({ type, version, measurement, signerId }: SoftwareComponent): string {
  return `${type ?? 'A component'} ${version ?? 'without a version'} with measurement ${measurement}, signed by ${signerId},`
}
