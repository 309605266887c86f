import { z } from 'zod'
import { credentialAnswer, credentialRequest } from '../../protocol/attestation/messages.ts'
import { EVIDENCE_MAX_BODY_BYTES } from '../read-body.ts'
import { defineRoute, type Route } from '../route.ts'
import type { GiveCredential } from '../services/give-credential.ts'
import { parseId } from './ids.ts'

export function giveCredentialRoute(giveCredential: GiveCredential): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/enrollments/:id/credential',
    access: 'anyone',
    queue: 'open_work',
    summary: 'Ask for a secret that only the platform with these keys can open',
    body: credentialRequest,
    maxBodyBytes: EVIDENCE_MAX_BODY_BYTES,
    answers: { 200: { description: 'The secret, for the evidence of this enrolment.', body: credentialAnswer } },
    errors: ['enrollment_refused', 'challenge_expired', 'evidence_refused'],
    async answer({ params, body, requestId }) {
      const answer = await giveCredential(parseId(params), body, requestId)
      return { status: 200, body: z.encode(credentialAnswer, answer) }
    },
  })
}
