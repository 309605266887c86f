import { z } from 'zod'
import { collateralRule } from '../../collateral-rules.ts'

const hash = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .meta({ description: '32 bytes in lower-case hexadecimal' })
const month = z.int().min(200_001).max(999_912)
const day = z.int().min(20_000_101).max(99_991_231)

/** What a policy may say of a phone: docs/attestation-formats.md. */
export const androidKeyRules = z.strictObject({
  securityLevel: z
    .enum(['trusted-environment', 'strongbox'])
    .default('trusted-environment')
    .meta({ description: 'the least that holds the keys and attests them' }),
  key: z
    .enum(['any', 'identity'])
    .default('any')
    .meta({ description: 'whether the identity key itself has to be attested' }),
  verifiedBootKeys: z.array(hash).max(64).exactOptional().meta({
    description: 'what a device may boot with; without it, any key of its manufacturer, and none of its owner',
  }),
  minimumOsVersion: z.int().min(0).max(999_999).exactOptional().meta({ description: 'such as 140000 for Android 14' }),
  minimumOsPatchLevel: month.exactOptional().meta({ description: 'YYYYMM' }),
  minimumVendorPatchLevel: day.exactOptional().meta({ description: 'YYYYMMDD' }),
  minimumBootPatchLevel: day.exactOptional().meta({ description: 'YYYYMMDD' }),
  outdated: z
    .enum(['warning', 'contraindicated'])
    .default('contraindicated')
    .meta({ description: 'what a device is below one of these' }),
  moduleHashes: z
    .array(hash)
    .max(256)
    .exactOptional()
    .meta({ description: 'allowed modules of the system; without it, any' }),
  unlistedApp: z
    .enum(['warning', 'contraindicated'])
    .default('contraindicated')
    .meta({ description: 'what an app is that no reference value has' }),
  collateral: collateralRule,
  maximumListAge: z
    .int()
    .min(1)
    .max(8760)
    .default(48)
    .meta({ description: 'hours since the status list was fetched, from when on it is out of date' }),
})
export type AndroidKeyRules = z.output<typeof androidKeyRules>

/** An app: every package of an application id has to be in a reference value, and every signer in those of its packages. */
export const androidKeyReference = z.strictObject({
  package: z.string().regex(/^[\x21-\x7e]{1,255}$/),
  signers: z.array(hash).min(1).max(16).meta({ description: 'SHA-256 of signing certificates' }),
  minimumVersion: z.int().min(0).exactOptional().meta({ description: 'of the version code' }),
})
export type AndroidKeyReference = z.output<typeof androidKeyReference>
