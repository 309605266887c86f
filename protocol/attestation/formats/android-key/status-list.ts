import { decode } from 'cborg/json'
import { z } from 'zod'
import { type Collateral, malformedEvidence } from '../../evidence-format.ts'

/** How the one list there is is looked up. */
export const androidStatusListId = 'android-status-list:google'

/** Of certificates that are not good, by their serial number as it is published. */
type StatusList = ReadonlyMap<string, Revocation>

export type Revocation = { status: 'REVOKED' | 'SUSPENDED'; reason: string | null }

const entry = z.map(z.string(), z.unknown()).transform((members) => Object.fromEntries(members))
const statusList = z.map(
  z.literal('entries'),
  z.map(
    z.string().regex(/^[1-9a-f][0-9a-f]{0,63}$/),
    entry.pipe(
      z.object({
        status: z.enum(['REVOKED', 'SUSPENDED']),
        reason: z
          .string()
          .regex(/^[A-Z_]{1,64}$/)
          .optional(),
      }),
    ),
  ),
)

/**
 * What https://android.googleapis.com/attestation/status answers: JSON with no member twice. Comments and ends of entries are not
 * looked at: who is on the list is not good. Untrusted bytes, without a signature. Throws `evidence_malformed`.
 */
export function parseStatusList(body: Uint8Array): StatusList {
  const { data } = statusList.safeParse(parseJson(body))
  const entries = data?.get('entries')
  if (entries === undefined) throw malformedEvidence('The status list does not have its form.')
  return new Map([...entries].map(([serial, { status, reason = null }]) => [serial, { status, reason }]))
}

function parseJson(body: Uint8Array): unknown {
  try {
    return decode(Uint8Array.from(body), { useMaps: true, rejectDuplicateMapKeys: true })
  } catch (cause) {
    throw malformedEvidence('The status list is not JSON, or has a member twice.', { cause })
  }
}

/** The list is long, and the same object is the same list. */
const parsed = new WeakMap<Collateral, StatusList>()

function parsedListOf(collateral: Collateral): StatusList {
  const list = parsed.get(collateral) ?? parseStatusList(collateral.body)
  parsed.set(collateral, list)
  return list
}

/** What the newest list says of certificates. */
export type Revocations = {
  /** Since it was fetched; null without a list. */
  listAgeMs: number | null
  revoked: (Revocation & { serialNumber: string })[]
}

/** `serialNumbers`: bytes of INTEGERs in hexadecimal. The list has them without leading zeros. */
export function findRevocations(
  serialNumbers: readonly string[],
  collateral: readonly Collateral[],
  now: number,
): Revocations {
  const [newest] = collateral
    .filter((one) => one.kind === 'android-status-list' && one.lookupId === androidStatusListId && one.issuedAt <= now)
    .sort((one, other) => other.issuedAt - one.issuedAt)
  if (newest === undefined) return { listAgeMs: null, revoked: [] }
  const list = parsedListOf(newest)
  const revoked = serialNumbers.flatMap((given) => {
    const serialNumber = given.replace(/^0+(?=.)/, '')
    const found = list.get(serialNumber)
    return found === undefined ? [] : [{ serialNumber, ...found }]
  })
  return { listAgeMs: now - newest.issuedAt, revoked }
}
