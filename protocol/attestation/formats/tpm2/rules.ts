import { z } from 'zod'
import { hashLengths, hashNames } from './algorithms.ts'

const pcr = z.int().min(0).max(23)
const hexOf = (length: number) => z.string().regex(new RegExp(`^[0-9a-f]{${length * 2}}$`))

/** What a policy may say of evidence of a TPM: docs/attestation-formats.md. */
export const tpm2Rules = z.strictObject({
  bank: z.enum(hashNames).default('sha256'),
  pcrs: z
    .array(pcr)
    .max(24)
    .default([0, 2, 4, 7])
    .meta({ description: 'PCRs that have to be quoted and to have a value that a reference value allows' }),
  otherValues: z
    .enum(['contraindicated', 'warning'])
    .default('contraindicated')
    .meta({ description: 'what a PCR is with a value that no reference value allows' }),
  eventLog: z.array(pcr).max(24).default([]).meta({ description: 'PCRs that an event log has to explain' }),
  tpms: z
    .array(
      z.strictObject({
        manufacturer: z.string().regex(/^id:[0-9A-F]{8}$/),
        minimumFirmware: hexOf(8).exactOptional(),
      }),
    )
    .max(64)
    .exactOptional()
    .meta({ description: 'manufacturers as EK certificates name them, firmware as quotes do; without it, any' }),
  restarts: z.enum(['accepted', 'warning']).default('accepted'),
  expiredCertificates: z
    .enum(['accepted', 'contraindicated'])
    .default('accepted')
    .meta({ description: 'of EK certificates that were valid when the device enrolled' }),
})
export type Tpm2Rules = z.output<typeof tpm2Rules>

const allowedValues = (length: number) =>
  z.record(z.string().regex(/^(\d|1\d|2[0-3])$/), z.array(hexOf(length)).max(64)).exactOptional()
const allowedDigests = (length: number) => z.array(hexOf(length)).max(256).exactOptional()

/** Allowed values PCR by PCR; and digests of all PCRs of the policy's rules together, where not each goes with each. */
export const tpm2ReferenceValue = z.strictObject({
  pcrs: z
    .strictObject({ sha256: allowedValues(hashLengths.sha256), sha384: allowedValues(hashLengths.sha384) })
    .exactOptional(),
  pcrDigests: z
    .strictObject({ sha256: allowedDigests(hashLengths.sha256), sha384: allowedDigests(hashLengths.sha384) })
    .exactOptional()
    .meta({ description: 'the hash of the bank over the values of the PCRs of the rules, ascending' }),
})
export type Tpm2ReferenceValue = z.output<typeof tpm2ReferenceValue>
