import { z } from 'zod'

/** What a fleet sorts its devices by: `type` is one of these, `capabilities` a set of them. 1 to 64 characters. */
export const deviceLabel = z
  .string()
  .regex(/^[a-z0-9._-]{1,64}$/, 'Not a label: 1 to 64 of a-z, 0-9, ".", "_" and "-".')

const MAX_CAPABILITIES = 32

/** Distinct, and in the order of their characters whatever order they came in: it is a set. */
export const deviceCapabilities = z
  .array(deviceLabel)
  .max(MAX_CAPABILITIES)
  .refine((labels) => new Set(labels).size === labels.length, 'Holds a label twice.')
  .overwrite((labels) => labels.toSorted())
