import { z } from 'zod'
import { toBase64url } from '../protocol/encoding.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { MAX_ROUND_DEVICES, roundClosed } from '../protocol/rounds/messages.ts'
import type { RoundCertificate } from '../protocol/rounds/round-certificate.ts'
import { verifyRoundSignature } from '../protocol/rounds/verify-round-certificate.ts'
import { uuid } from '../protocol/wire.ts'
import type { DeviceParts } from './device-parts.ts'
import { MAX_CERTIFICATE_BYTES, requireRound } from './federations.ts'
import { followTrust } from './follow-trust.ts'
import { parseInput } from './parse-input.ts'
import { getAccessToken } from './renew-token.ts'
import { roundNames } from './round-context.ts'
import { roundPath } from './round-path.ts'

export interface ClosingOptions {
  /** 32 bytes, of what the participants' work became: it goes into the certificate. */
  aggregateHash?: Uint8Array | undefined
  /** Those who contributed, of the devices that a key was given out for; all of these without it. */
  participants?: readonly string[] | undefined
}

const closingInput = roundNames.extend({
  aggregateHash: z
    .custom<Uint8Array>((value) => value instanceof Uint8Array && value.length === 32, 'Not 32 bytes.')
    .optional(),
  participants: z.array(uuid).max(MAX_ROUND_DEVICES).optional(),
})

/**
 * Closes a round for good. Its certificate, signed by the service that this device has pinned, for this round and over this
 * aggregate; that it is in the log, `fetchRoundCertificate` shows a second later. The same again gives the same.
 */
export async function closeRound(
  parts: Pick<DeviceParts, 'http' | 'crypto' | 'store' | 'now'>,
  names: { federationId: string; round: number } & ClosingOptions,
): Promise<RoundCertificate> {
  const { federationId, round, aggregateHash, participants } = parseInput(closingInput, {
    ...names,
    participants: names.participants === undefined ? undefined : [...names.participants],
  })
  const stated = aggregateHash === undefined ? undefined : toBase64url(aggregateHash)
  const body = { ...(stated && { aggregateHash: stated }), ...(participants && { participants }) }
  const options = { bearer: await getAccessToken(parts), repeatable: true, maxAnswerBytes: MAX_CERTIFICATE_BYTES }
  const closed = await parts.http.post(`${roundPath(federationId, round)}/close`, body, roundClosed, options)
  const { trust } = await followTrust(parts, { pastCaches: true })
  verifyRoundSignature(parts.crypto, closed, [trust])
  requireRound(closed, { federationId, round })
  if (closed.certificate.aggregateHash !== (stated ?? null)) {
    throw new ProtocolError('round_invalid', 'The certificate is over another aggregate than was stated.')
  }
  if (participants !== undefined) requireNamed(closed.certificate, new Set(participants))
  return closed.certificate
}

/** Throws `round_invalid`. */
function requireNamed({ participants }: RoundCertificate, named: ReadonlySet<string>): void {
  if (participants.length === named.size && participants.every(({ deviceId }) => named.has(deviceId))) return
  throw new ProtocolError('round_invalid', 'The certificate is of other participants than were named.')
}
