import { z } from 'zod'
import { collateralRule } from '../../collateral-rules.ts'
import { tcbStatuses } from './tcb-statuses.ts'
import { type TdRegister, tdRegisters } from './td-report.ts'

/**
 * Bits of TDATTRIBUTES that have a name (Intel TDX Module Base Architecture, "TD Attributes"; `icssd` and `servtdExt` as in Linux,
 * arch/x86/include/asm/shared/tdx.h). The first eight make debuggable.
 */
export const tdAttributeBits = {
  icssd: 16n,
  servtdExt: 17n,
  lass: 27n,
  septVeDisable: 28n,
  migratable: 29n,
  pks: 30n,
  keyLocker: 31n,
  tpa: 62n,
  perfmon: 63n,
} as const
const attributeNames = Object.keys(tdAttributeBits) as (keyof typeof tdAttributeBits)[]

const hexOf = (bytes: number) =>
  z
    .string()
    .regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`))
    .meta({ description: `${bytes} bytes in lower-case hexadecimal` })
/** What nothing makes good. */
const status = z.enum(tcbStatuses).exclude(['Revoked', 'NotSupported'])

/** What a policy may say of a quote: docs/attestation-formats.md. */
export const tdxRules = z.strictObject({
  debug: z
    .enum(['contraindicated', 'accepted'])
    .default('contraindicated')
    .meta({ description: 'what a trust domain is that its host may look into' }),
  required: z
    .array(z.enum(attributeNames))
    .max(attributeNames.length)
    .default(['septVeDisable'])
    .meta({ description: 'attributes that a trust domain has to have' }),
  allowed: z
    .array(z.enum(attributeNames))
    .max(attributeNames.length)
    .default(['pks', 'lass'])
    .meta({ description: 'attributes that it may have besides those' }),
  xfam: z
    .array(hexOf(8))
    .min(1)
    .max(64)
    .exactOptional()
    .meta({ description: 'as it stands in the quote; without it, any' }),
  registers: z
    .array(z.enum(tdRegisters))
    .min(1)
    .max(tdRegisters.length)
    .default(['mrTd', 'rtmr0', 'rtmr1', 'rtmr2'])
    .meta({ description: 'what a reference value has to name to approve of a trust domain' }),
  unlisted: z
    .enum(['warning', 'contraindicated'])
    .default('contraindicated')
    .meta({ description: 'what a trust domain is that no reference value approves of' }),
  tcbStatuses: z
    .array(status)
    .max(tcbStatuses.length)
    .default(['UpToDate'])
    .meta({ description: 'of the platform that are good' }),
  tcbWarnings: z
    .array(status)
    .max(tcbStatuses.length)
    .default(['SWHardeningNeeded', 'ConfigurationNeeded', 'ConfigurationAndSWHardeningNeeded'])
    .meta({ description: 'of the platform that are a warning; every other one is contraindicated' }),
  minimumTcbEvaluationDataNumber: z
    .int()
    .min(0)
    .exactOptional()
    .meta({ description: 'of the TCB info and of the identity of the quoting enclave' }),
  collateral: collateralRule,
})
export type TdxRules = z.output<typeof tdxRules>

const registers = Object.fromEntries(tdRegisters.map((name) => [name, hexOf(48).exactOptional()])) as Record<
  TdRegister,
  z.ZodExactOptional<z.ZodString>
>

/** A trust domain, whole: everything that it names has to be so. */
export const tdxReference = z
  .strictObject(registers)
  .refine((reference) => Object.keys(reference).length > 0, 'Names nothing.')
export type TdxReference = z.output<typeof tdxReference>
