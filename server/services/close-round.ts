import type { Database } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { endRound, findRoundEnd, lockRound, type RoundEnd } from '../../database/repositories/rounds.ts'
import { canonicalJson, encode, toBase64url } from '../../protocol/encoding.ts'
import { bucketAt } from '../../protocol/exchange/bucket.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { type RoundCertificate, roundCertificateBytes } from '../../protocol/rounds/round-certificate.ts'
import { signatureContexts } from '../../protocol/suites.ts'
import type { LoggedEvent, WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import { currentOf, type Signer } from '../../runtime/custody/signer.ts'
import { actorOf, type SessionCaller } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import { admitCoordinator } from './admit-to-round.ts'
import { type Closing, listRoundParticipants, toRoundCertificate } from './certify-round.ts'
import { changeAs } from './change-as.ts'
import type { RoundName } from './derive-round-keys.ts'
import { getFederation } from './federation-access.ts'
import type { PublishedKeys } from './published-keys.ts'
import { noRound } from './rounds.ts'
import { SEALED_CHAIN_BYTES } from './session-chains.ts'

export interface CloseRoundParts {
  database: Database
  trustDomain: string
  attestationSigner: Signer
  publishedKeys: Pick<PublishedKeys, 'getTrust'>
  crypto: Primitives
  clock: Clock
  writeEvent: WriteEvent
}

export interface SignedRound {
  certificate: RoundCertificate
  signature: { kid: string; signature: Uint8Array }
}

export type CloseRound = (
  caller: SessionCaller,
  name: RoundName,
  closing: Closing,
  requestId: string,
) => Promise<SignedRound>

/**
 * Ends a round, CLOSED or, with fewer participants than it needs, FAILED, and signs its certificate. The same again gives the same
 * certificate; something else is `round_state`.
 */
export function createCloseRound(parts: CloseRoundParts): CloseRound {
  const { crypto } = parts
  return async (caller, name, closing, requestId) => {
    const { organizationId } = caller
    const asked = parts.clock.now()
    const chains = { epoch: bucketAt(asked), length: SEALED_CHAIN_BYTES, now: asked }
    await admitCoordinator(parts.database, caller, name.federationId, chains)
    const closingHash = hashClosing(crypto, closing)
    const { sequence: trustSequence } = await parts.publishedKeys.getTrust()
    return changeAs(parts, caller, async (tx, now) => {
      const round = await lockRound(tx, name.federationId, name.round)
      const federation = await getFederation(tx, caller, name.federationId)
      if (round === undefined) throw noRound()
      const ended = await findRoundEnd(tx, name.federationId, name.round)
      if (ended !== undefined) return repeat(crypto, ended, closingHash)
      // It may have been opened by a process whose clock is ahead of this one's by a little.
      const closedAt = Math.max(now, round.openedAt)
      const participants = await listRoundParticipants(tx, crypto, name, closing)
      const facts = { organizationId, trustDomain: parts.trustDomain, federation, round, closedAt }
      const certificate = toRoundCertificate(facts, closing, participants)
      const signed = roundCertificateBytes(certificate)
      const signer = currentOf(parts.attestationSigner)
      const signature = await signer.sign(signed, signatureContexts.round)
      const certificateHash = toBase64url(crypto.hash256(signed))
      const event = writeEnd(parts, caller, { certificate, certificateHash, requestId })
      await endRound(tx, name, certificate.state, {
        closedAt,
        closingHash,
        aggregateHash: closing.aggregateHash,
        certificate: canonicalJson(certificate),
        signature,
        signatureKid: signer.keyId,
        trustSequence,
        eventId: event.eventId,
        event: event.entry,
      })
      await insertEvents(tx, [event])
      return { certificate, signature: { kid: signer.keyId, signature } }
    })
  }
}

/** 32 bytes; in whatever order the participants come. */
function hashClosing(crypto: Primitives, { aggregateHash, participants }: Closing): Uint8Array {
  const text = canonicalJson({ aggregateHash: aggregateHash ?? null, participants: participants?.toSorted() ?? null })
  return crypto.hash256(encode('QFLARE-v1 round closing', text))
}

function repeat(crypto: Primitives, ended: RoundEnd, closingHash: Uint8Array): SignedRound {
  if (!crypto.equal(ended.closingHash, closingHash)) {
    throw new ServiceError('round_state', 'The round ended before, in another way.')
  }
  return toSignedRound(ended)
}

export function toSignedRound(ended: Pick<RoundEnd, 'certificate' | 'signature' | 'signatureKid'>): SignedRound {
  // Our own canonical JSON: it was made from this type, and is under a signature that whoever relies on it verifies.
  const certificate = JSON.parse(ended.certificate) as RoundCertificate
  return { certificate, signature: { kid: ended.signatureKid, signature: ended.signature } }
}

function writeEnd(
  { writeEvent }: Pick<CloseRoundParts, 'writeEvent'>,
  caller: SessionCaller,
  {
    certificate,
    certificateHash,
    requestId,
  }: { certificate: RoundCertificate; certificateHash: string; requestId: string },
): LoggedEvent {
  const { organizationId, federationId, round, state, participants, minParticipants, closedAt } = certificate
  return writeEvent(
    {
      organizationId,
      actor: actorOf(caller),
      type: state === 'CLOSED' ? 'round.closed' : 'round.failed',
      subject: { federationId, round },
      data: { certificateHash, participants: participants.length, minParticipants },
      requestId,
    },
    closedAt,
  )
}
