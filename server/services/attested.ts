import type { AttestationAnswer } from '../../protocol/attestation/messages.ts'
import { encode } from '../../protocol/encoding.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { LoggedEvent, WriteEvent } from '../../runtime/audit-events.ts'
import { actorOf, type SessionCaller } from '../caller.ts'
import type { Device } from './devices.ts'
import type { IssuedAttestationResult } from './issue-attestation-result.ts'

/** By which a submission is known again: 32 bytes, of what is signed and its signature. */
export function completionHashOf(crypto: Primitives, signedBytes: Uint8Array, signature: Uint8Array): Uint8Array {
  return crypto.hash256(encode('attestation', signedBytes, signature))
}

export function attestedEvent(
  writeEvent: WriteEvent,
  { caller, kid, requestId }: { caller: SessionCaller; kid: string; requestId: string },
  { id: attestationId, tier, policyId }: Pick<IssuedAttestationResult, 'id' | 'tier' | 'policyId'>,
  now: number,
): LoggedEvent {
  const { organizationId, id: deviceId, sessionId } = caller
  const happening = { subject: { deviceId, sessionId }, data: { attestationId, kid, tier, policyId } }
  return writeEvent({ organizationId, actor: actorOf(caller), type: 'device.attested', ...happening, requestId }, now)
}

export function toAnswer(
  { id: deviceId, status, nextAttestationAt: next }: Pick<Device, 'id' | 'status' | 'nextAttestationAt'>,
  { id, tier, policyId, appraisedAt, expiresAt, ear }: IssuedAttestationResult,
): AttestationAnswer {
  const attestation = { id, tier, policyId, appraisedAt, expiresAt, ear }
  return { deviceId, status, attestation, ...(next === undefined ? {} : { nextAttestationAt: next }) }
}
