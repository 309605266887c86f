import { z } from 'zod'
import { printable } from '../../../wire.ts'
import { parseCbor } from '../../cbor.ts'
import { malformedEvidence } from '../../evidence-format.ts'
import { findLifecycleName } from './lifecycles.ts'
import { nameClaims, type ProfileName } from './profiles.ts'

/** What a token says. Bytes are hexadecimal text; what may lack is null. */
export type PsaClaims = {
  profile: ProfileName
  /** 32, 48 or 64 bytes. */
  nonce: string
  /** 33 bytes, of which the first is 01. */
  instanceId: string
  /** 32 bytes. */
  implementationId: string
  /** Who asked for the token: up to zero in the non-secure processing environment, above it in the secure one. */
  clientId: number
  lifecycle: number
  /** 8 to 32 bytes, new with every boot. */
  bootSeed: string | null
  certificationReference: string | null
  /** Of the older profile also none at all: it can say that nothing is measured. */
  components: SoftwareComponent[]
  verificationService: string | null
}

export type SoftwareComponent = {
  type: string | null
  /** 32, 48 or 64 bytes, as the signer's. */
  measurement: string
  signerId: string
  version: string | null
  description: string | null
}

/** Bytes of a length that fits. */
function hexOf(fits: (length: number) => boolean) {
  return z
    .instanceof(Uint8Array)
    .refine(({ length }) => fits(length))
    .transform((bytes) => Buffer.from(bytes).toString('hex'))
}

/** SHA-256, SHA-384 or SHA-512. */
const hash = hexOf((length) => [32, 48, 64].includes(length))
/** The decoder puts a replacement character where bytes are no UTF-8. */
const text = (most: number) => printable.max(most).refine((value) => !value.includes('\ufffd'))

const partNames: ReadonlyMap<unknown, string> = new Map([
  [1, 'type'],
  [2, 'measurement'],
  [4, 'version'],
  [5, 'signerId'],
  [6, 'description'],
])

/** RFC 9783 §4.4.1: these parts and no others. */
const component = z
  .map(z.unknown(), z.unknown())
  .transform((parts) => Object.fromEntries([...parts].map(([key, part]) => [partNames.get(key) ?? 'unknown', part])))
  .pipe(
    z.strictObject({
      type: text(64).optional(),
      measurement: hash,
      version: text(64).optional(),
      signerId: hash,
      description: text(64).optional(),
    }),
  )
const components = z.array(component).min(1)

const common = {
  nonce: hash,
  instanceId: hexOf((length) => length === 33).refine((ueid) => ueid.startsWith('01')),
  implementationId: hexOf((length) => length === 32),
  clientId: z
    .int()
    .min(-(2 ** 31))
    .max(2 ** 31 - 1),
  lifecycle: z
    .int()
    .min(0)
    .max(0xffff)
    .refine((state) => findLifecycleName(state) !== undefined),
  verificationService: text(1024).min(1).optional(),
}

const current = z.object({
  ...common,
  bootSeed: hexOf((length) => length >= 8 && length <= 32).optional(),
  certificationReference: z
    .string()
    .regex(/^\d{13}-\d{5}$/)
    .optional(),
  components,
})

const legacy = z
  .object({
    ...common,
    bootSeed: hexOf((length) => length === 32),
    certificationReference: z
      .string()
      .regex(/^\d{13}(-\d{5})?$/)
      .optional(),
    components: components.optional(),
    noMeasurements: z.literal(1).optional(),
  })
  .refine((claims) => (claims.components === undefined) !== (claims.noMeasurements === undefined))

const schemas = {
  'tag:psacertified.org,2023:psa#tfm': current,
  'http://arm.com/psa/2.0.0': current,
  PSA_IOT_PROFILE_1: legacy,
} satisfies Record<ProfileName, z.ZodType>

/**
 * The payload of a token, by its profile: RFC 9783 §4, or draft-tschofenig-rats-psa-token-07 of the older one. Integers may be longer
 * than they need to be (RFC 9783 §5.1). Attacker-controlled input. Throws `evidence_malformed`.
 */
export function parseClaims(payload: Uint8Array): PsaClaims {
  const map = z.map(z.unknown(), z.unknown()).safeParse(parseCbor(payload, { preferred: false })).data
  if (map === undefined) throw malformedEvidence('The token holds no claims.')
  const { profile, named } = nameClaims(map)
  const { data, error } = schemas[profile].safeParse(named)
  if (data === undefined) {
    const names = new Set(error.issues.map(({ path }) => path.join('.')))
    throw malformedEvidence(`The token lacks what its profile demands, or has it otherwise: ${[...names].join(', ')}.`)
  }
  const { bootSeed = null, certificationReference = null, verificationService = null } = data
  const { nonce, instanceId, implementationId, clientId, lifecycle } = data
  return {
    profile,
    nonce,
    instanceId,
    implementationId,
    clientId,
    lifecycle,
    bootSeed,
    certificationReference,
    components: (data.components ?? []).map(toComponent),
    verificationService,
  }
}

function toComponent(given: z.output<typeof component>): SoftwareComponent {
  const { measurement, signerId, type = null, version = null, description = null } = given
  return { type, measurement, signerId, version, description }
}
