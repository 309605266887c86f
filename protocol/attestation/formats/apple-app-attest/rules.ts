import { z } from 'zod'
import { printable } from '../../../wire.ts'
import { isVersion } from '../../versions.ts'

/** What the system says of how an app that starts is signed (launch constraints of Apple, "validation category"). */
export const launchCategories = {
  'operating-system': 1,
  testflight: 2,
  development: 3,
  'app-store': 4,
  enterprise: 5,
  'developer-id': 6,
} as const
export type LaunchCategory = keyof typeof launchCategories

/** What a policy may say of an app: docs/attestation-formats.md. */
export const appAttestRules = z.strictObject({
  development: z
    .enum(['accepted', 'contraindicated'])
    .default('contraindicated')
    .meta({ description: 'what a key is that was attested in the development environment' }),
  unlistedApp: z
    .enum(['warning', 'contraindicated'])
    .default('contraindicated')
    .meta({ description: 'what an app is that no reference value has' }),
  launchCategories: z
    .array(z.enum(Object.keys(launchCategories) as [LaunchCategory, ...LaunchCategory[]]))
    .min(1)
    .exactOptional()
    .meta({ description: 'how an app may be signed; without it, in any way. Systems say it from iOS 27 on' }),
  maximumAttestationAge: z
    .int()
    .min(1)
    .max(3650)
    .exactOptional()
    .meta({ description: 'days since the key was attested, from when on it has to be done again' }),
  outdated: z
    .enum(['warning', 'contraindicated'])
    .default('warning')
    .meta({ description: 'what a device is whose key was attested longer ago' }),
})
export type AppAttestRules = z.output<typeof appAttestRules>

/** An app. */
export const appAttestReference = z.strictObject({
  appId: z
    .string()
    .regex(/^[A-Z0-9]{10}\.[A-Za-z0-9.-]{1,155}$/, 'Not an App ID: a prefix of ten characters, a dot, a bundle id.'),
  minimumVersion: printable
    .max(64)
    .refine(isVersion, 'Not numbers with dots between them.')
    .exactOptional()
    .meta({ description: 'of the bundle, which systems say from iOS 27 on' }),
})
export type AppAttestReference = z.output<typeof appAttestReference>
