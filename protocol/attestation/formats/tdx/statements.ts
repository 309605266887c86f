import { z } from 'zod'
import { levelStatuses, partStatuses } from './tcb-statuses.ts'

const hex = (bytes: number) =>
  z
    .string()
    .regex(new RegExp(`^[0-9a-fA-F]{${bytes * 2}}$`))
    .toLowerCase()
/** With seconds, in UTC. */
const time = z
  .string()
  .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
  .transform((text) => Date.parse(text))
  .pipe(z.int())
const svn = z.int().min(0).max(255)
const isvSvn = z.int().min(0).max(0xffff)
const components = z.array(z.object({ svn })).length(16)
const advisoryIDs = z
  .array(z.string().regex(/^[A-Z0-9-]{1,32}$/))
  .max(256)
  .default([])

const facts = {
  issueDate: time,
  nextUpdate: time,
  tcbEvaluationDataNumber: z.int().min(0),
}
const isvLevels = z
  .array(z.object({ tcb: z.object({ isvsvn: isvSvn }), tcbStatus: z.enum(partStatuses), advisoryIDs }))
  .max(256)
const tdxModule = { mrsigner: hex(48), attributes: hex(8), attributesMask: hex(8) }

/** What Intel says of the TCB of a kind of platforms: version 3 of the PCS API. Members that it does not need it does not look at. */
export const tcbInfo = z.object({
  id: z.literal('TDX'),
  version: z.literal(3),
  ...facts,
  fmspc: hex(6),
  pceId: hex(2),
  tcbType: z.literal(0),
  tdxModule: z.object(tdxModule).optional(),
  tdxModuleIdentities: z
    .array(z.object({ id: z.string().regex(/^TDX_[0-9A-Fa-f]{2}$/), ...tdxModule, tcbLevels: isvLevels }))
    .max(256)
    .default([]),
  tcbLevels: z
    .array(
      z.object({
        tcb: z.object({ sgxtcbcomponents: components, pcesvn: isvSvn, tdxtcbcomponents: components }),
        tcbStatus: z.enum(levelStatuses),
        advisoryIDs,
      }),
    )
    .max(256),
})
export type TcbInfo = z.output<typeof tcbInfo>

/** What Intel says of its quoting enclave for trust domains: version 2 of the PCS API. */
export const qeIdentity = z.object({
  id: z.literal('TD_QE'),
  version: z.literal(2),
  ...facts,
  miscselect: hex(4),
  miscselectMask: hex(4),
  attributes: hex(16),
  attributesMask: hex(16),
  mrsigner: hex(32),
  isvprodid: isvSvn,
  tcbLevels: isvLevels,
})
export type QeIdentity = z.output<typeof qeIdentity>

export function isMasked(bytes: Uint8Array, mask: string, wanted: string): boolean {
  const masks = Buffer.from(mask, 'hex')
  const expected = Buffer.from(wanted, 'hex')
  return bytes.every((byte, index) => (byte & (masks[index] as number)) === expected[index])
}
