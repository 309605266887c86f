import { z } from 'zod'
import { usedAnchor } from '../../x509/anchors.ts'

const hex = z.string().regex(/^([0-9a-f]{2})+$/)
const tpmText = z.string().max(256)

/** What is remembered of a TPM between two pieces of evidence. */
export const tpm2State = z.strictObject({
  /** Hex, without a size. It binds the AK. */
  akName: hex,
  /** Hex. It binds the AK and the EK that it is under. */
  qualifiedName: hex,
  tpm: z.strictObject({
    manufacturer: tpmText.exactOptional(),
    model: tpmText.exactOptional(),
    version: tpmText.exactOptional(),
  }),
  /** Of the EK certificate and its path, milliseconds since the Unix epoch. */
  certificatesValidUntil: z.number(),
  /** Those have to be trusted still, when no certificate comes. States of before know none. */
  anchors: z.array(usedAnchor).max(8).exactOptional(),
  resetCount: z.int(),
  restartCount: z.int(),
  clock: z.int(),
  safe: z.boolean(),
})
export type Tpm2State = z.output<typeof tpm2State>

/** What is remembered between a credential and the evidence that answers it. */
export const activationState = z.strictObject({ akName: hex })
