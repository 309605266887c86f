import { z } from 'zod'
import { printable } from '../../../wire.ts'
import { collateralRule } from '../../collateral-rules.ts'
import { type ProductName, products, type Tcb } from './products.ts'
import { signingKeys } from './verify.ts'

const hexOf = (length: number) => z.string().regex(new RegExp(`^[0-9a-f]{${length * 2}}$`))
const digest = hexOf(48)
const listOf = <Item extends z.ZodType>(item: Item) => z.array(item).max(256)

function minimumOf(name: ProductName) {
  const parts = Object.keys(products[name].tcb) as (keyof Tcb)[]
  const level = z.int().min(0).max(255).exactOptional()
  const shape = Object.fromEntries(parts.map((part) => [part, level]))
  return z.strictObject(shape).exactOptional()
}

/** What a policy may say of a report: docs/attestation-formats.md. */
export const sevSnpRules = z.strictObject({
  allowed: listOf(z.enum(['debug', 'migration', 'smt', 'cxl']))
    .default(['smt'])
    .meta({ description: 'what the policy of the guest may let its host do' }),
  required: listOf(z.enum(['single-socket', 'aes-256-xts', 'rapl-disabled', 'ciphertext-hiding', 'page-swap-disabled']))
    .default([])
    .meta({ description: 'what the policy of the guest has to ask of its host' }),
  platform: listOf(
    z.enum(['tsme', 'ecc', 'rapl-disabled', 'ciphertext-hiding', 'alias-check', 'iommu-write-safe', 'tio']),
  )
    .default([])
    .meta({ description: 'what has to be so on the machine' }),
  minimumAbi: z
    .strictObject({ major: z.int().min(0).max(255), minor: z.int().min(0).max(255) })
    .exactOptional()
    .meta({ description: 'of the firmware, that the policy of the guest has to ask for' }),
  vmpls: z
    .array(z.int().min(0).max(3))
    .min(1)
    .max(4)
    .default([0])
    .meta({ description: 'privilege levels inside of the guest that may have asked for the report' }),
  signingKeys: z
    .array(z.enum(signingKeys))
    .min(1)
    .max(signingKeys.length)
    .default([...signingKeys]),
  providers: listOf(printable.min(1).max(128))
    .exactOptional()
    .meta({ description: 'clouds whose VLEKs are taken; without it, any' }),
  minimumTcb: z
    .strictObject({ Milan: minimumOf('Milan'), Genoa: minimumOf('Genoa'), Turin: minimumOf('Turin') })
    .default({})
    .meta({ description: 'part by part, of the reported TCB, of the committed one and of that of the launch' }),
  mitigations: listOf(z.int().min(0).max(63))
    .default([])
    .meta({ description: 'bits that both mitigation vectors have to have, as bulletins of AMD name them' }),
  minimumGuestSvn: z
    .int()
    .min(0)
    .max(2 ** 32 - 1)
    .default(0),
  hostData: listOf(hexOf(32)).exactOptional().meta({ description: 'allowed; without it, any' }),
  idKeyDigests: listOf(digest).exactOptional().meta({ description: 'allowed; without it, any or none' }),
  authorKeyDigests: listOf(digest).exactOptional().meta({ description: 'allowed; without it, any or none' }),
  otherMeasurements: z
    .enum(['contraindicated', 'warning'])
    .default('contraindicated')
    .meta({ description: 'what a guest is with a measurement that no reference value has' }),
  collateral: collateralRule,
})
export type SevSnpRules = z.output<typeof sevSnpRules>

/** One release of an image: a measurement for each number of processors and each kind of machine. */
export const sevSnpReference = z.strictObject({ measurements: z.array(digest).min(1).max(256) })
export type SevSnpReference = z.output<typeof sevSnpReference>
