import { z } from 'zod'
import { json } from '../wire.ts'

/** Evidence of a device that only proves its key; its claims are said by the device and vouched for by nobody. */
export const evidenceNone = z.strictObject({
  format: z.literal('none'),
  claims: z.record(z.string().max(64), json).optional(),
})
