import { z } from 'zod'
import { toBase64url } from '../../protocol/encoding.ts'
import {
  closeRoundRequest,
  membershipAnswer,
  membershipReport,
  roundClosed,
  roundKeysAnswer,
  roundKeysRequest,
} from '../../protocol/rounds/messages.ts'
import { roundCertificateFile } from '../../protocol/rounds/round-certificate.ts'
import { defineRoute, type Route } from '../route.ts'
import type { CloseRound, SignedRound } from '../services/close-round.ts'
import type { DeriveRoundKeys } from '../services/derive-round-keys.ts'
import type { GetRoundCertificate } from '../services/round-certificates.ts'
import type { RoundMembership } from '../services/round-membership.ts'
import { parseRoundName } from './ids.ts'

/** Ten thousand ids. */
const MAX_BODY_BYTES = 524_288
/** Of a certificate, which is read and written in as long as one request of the others may take. */
const PARTICIPANTS_OF_A_REQUEST = 500

/** For the coordinator of a round: its keys, its end, and what it leaves behind. */
export function roundKeyRoutes(services: {
  deriveRoundKeys: DeriveRoundKeys
  closeRound: CloseRound
  getRoundCertificate: GetRoundCertificate
}): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/federations/:id/rounds/:round/keys',
      access: 'coordinator_in_session',
      summary: 'Get the keys of a round, sealed for the session that asks: for these devices, or for every member',
      body: roundKeysRequest,
      maxBodyBytes: MAX_BODY_BYTES,
      answers: { 200: { description: 'The sealed keys, and who gets none.', body: roundKeysAnswer } },
      errors: ['attestation_required', 'session_state', 'round_state', 'overloaded'],
      async answer({ caller, params, body, requestId }) {
        const name = parseRoundName(params)
        const answer = await services.deriveRoundKeys(caller, name, body.deviceIds, requestId)
        return { status: 200, body: z.encode(roundKeysAnswer, answer) }
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/federations/:id/rounds/:round/close',
      access: 'coordinator_in_session',
      summary: 'End a round and sign its certificate',
      body: closeRoundRequest,
      maxBodyBytes: MAX_BODY_BYTES,
      answers: { 200: { description: 'The certificate. The same again gives the same.', body: roundClosed } },
      errors: ['attestation_required', 'session_state', 'round_state'],
      async answer({ caller, params, body, requestId }) {
        const { aggregateHash, participants } = body
        const closing = { aggregateHash, participants }
        const signed = await services.closeRound(caller, parseRoundName(params), closing, requestId)
        return { status: 200, body: toJson(signed) }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/federations/:id/rounds/:round/certificate',
      access: 'auditor_or_coordinator',
      summary: 'Get the certificate of a round with all that is needed to check it offline',
      answers: {
        200: { description: 'The certificate, its event and proof, and the keys.', body: roundCertificateFile },
      },
      errors: ['round_state'],
      async answer({ caller, params, weigh }) {
        const proven = await services.getRoundCertificate(caller, parseRoundName(params))
        await weigh(Math.ceil(proven.certificate.participants.length / PARTICIPANTS_OF_A_REQUEST))
        const { event, proof = null, trust } = proven
        return { status: 200, body: { ...toJson(proven), event, proof, trust } }
      },
    }),
  ]
}

/** For a device: which of its chains its key of a round is of. */
export function roundMembershipRoutes(membership: RoundMembership): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/v1/federations/:id/rounds/:round/membership',
      access: 'device_in_session',
      summary: 'Ask for the session and epoch of the device’s own key of a round',
      answers: { 200: { description: 'What was given out last for this device.', body: membershipAnswer } },
      async answer({ caller, params }) {
        return { status: 200, body: await membership.get(caller, parseRoundName(params)) }
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/federations/:id/rounds/:round/membership',
      access: 'device_in_session',
      summary: 'Say that the device no longer has that chain',
      body: membershipReport,
      answers: { 204: { description: 'The coordinator sees it, and asks again.' } },
      errors: ['round_state'],
      async answer({ caller, params, body: { sessionId, epoch }, requestId }) {
        await membership.reportEpochGone(caller, parseRoundName(params), { sessionId, epoch }, requestId)
        return { status: 204 }
      },
    }),
  ]
}

function toJson({ certificate, signature: { kid, signature } }: SignedRound): z.input<typeof roundClosed> {
  return { certificate, signature: { kid, signature: toBase64url(signature) } }
}
