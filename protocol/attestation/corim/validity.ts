import { z } from 'zod'
import { corimInvalid, readMembers, readTagged } from './read-members.ts'

/** Milliseconds since the Unix epoch, both inclusive. */
export interface Validity {
  notBeforeAt: number | undefined
  notAfterAt: number | undefined
}

const EPOCH_TIME = 1
/** The end of the year 9999. */
const seconds = z.int().min(0).max(253_402_300_799)

/** `validity-map` (draft-ietf-rats-corim-11 §7.3). Throws `corim_invalid`. */
export function readValidity(value: unknown, where: string): Validity {
  const { notBefore, notAfter } = readMembers(value, where, { 0: 'notBefore', 1: 'notAfter' })
  const read = (time: unknown) =>
    time === undefined ? undefined : readSeconds(readTagged(time, where, EPOCH_TIME), where)
  return { notBeforeAt: read(notBefore), notAfterAt: read(notAfter) }
}

/** Of whole seconds since the Unix epoch. */
export function readSeconds(value: unknown, where: string): number {
  const { data } = seconds.safeParse(value)
  if (data === undefined) throw corimInvalid(`${where} is no time in whole seconds.`)
  return data * 1000
}

/** Throws `corim_invalid` before and after it. */
export function requireValid({ notBeforeAt, notAfterAt }: Validity, now: number, where: string): void {
  if (notBeforeAt !== undefined && now < notBeforeAt) {
    throw corimInvalid(`${where}: it is not valid before ${new Date(notBeforeAt).toISOString()}.`)
  }
  if (notAfterAt !== undefined && now > notAfterAt) {
    throw corimInvalid(`${where}: it was valid until ${new Date(notAfterAt).toISOString()}.`)
  }
}
