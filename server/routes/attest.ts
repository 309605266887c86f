import { z } from 'zod'
import {
  attestationAnswer,
  attestationChallenge,
  attestationStart,
  attestationSubmission,
} from '../../protocol/attestation/messages.ts'
import { EVIDENCE_MAX_BODY_BYTES } from '../read-body.ts'
import { defineRoute, type Route } from '../route.ts'
import type { CompleteAttestation } from '../services/complete-attestation.ts'
import type { StartAttestation } from '../services/start-attestation.ts'
import { parseId } from './ids.ts'

/** For a device in its session: it proves again in what state it is. */
export function attestRoutes(startAttestation: StartAttestation, completeAttestation: CompleteAttestation): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/attestations',
      access: 'own',
      looksUpSession: true,
      summary: 'Begin to attest for the session',
      body: attestationStart,
      answers: { 201: { description: 'The challenge that the evidence answers.', body: attestationChallenge } },
      errors: ['session_state'],
      async answer({ caller, requestId }) {
        return { status: 201, body: z.encode(attestationChallenge, await startAttestation(caller, requestId)) }
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/attestations/:id',
      access: 'own',
      looksUpSession: true,
      summary: 'Attest: evidence, signed by the identity key',
      body: attestationSubmission,
      maxBodyBytes: EVIDENCE_MAX_BODY_BYTES,
      answers: {
        200: { description: 'What was found, and what has become of the device.', body: attestationAnswer },
      },
      errors: ['attestation_refused', 'challenge_expired', 'session_state', 'evidence_refused'],
      async answer({ caller, params, body, requestId }) {
        return { status: 200, body: await completeAttestation(caller, parseId(params), body, requestId) }
      },
    }),
  ]
}
