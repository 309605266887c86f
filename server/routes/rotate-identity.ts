import { isUuid, toBase64url } from '../../protocol/encoding.ts'
import {
  rotationAnswer,
  rotationChallenge,
  rotationCompletion,
  rotationStart,
} from '../../protocol/identity-rotation.ts'
import { ServiceError } from '../errors.ts'
import { EVIDENCE_MAX_BODY_BYTES } from '../read-body.ts'
import { defineRoute, type Route } from '../route.ts'
import type { CompleteRotation } from '../services/complete-rotation.ts'
import type { StartRotation } from '../services/start-rotation.ts'
import { parseId } from './ids.ts'

export function rotateIdentityRoutes(startRotation: StartRotation, completeRotation: CompleteRotation): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/devices/:id/rotate-identity',
      access: 'own',
      summary: 'Begin to replace the identity key',
      body: rotationStart,
      answers: { 201: { description: 'The challenge that both keys sign.', body: rotationChallenge } },
      async answer({ caller, params, requestId }) {
        const started = await startRotation(caller, parseId(params), requestId)
        return { status: 201, body: { ...started, challenge: toBase64url(started.challenge) } }
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/devices/:id/rotate-identity/:challengeId',
      access: 'anyone',
      queue: 'open_work',
      summary: 'Replace the identity key; the sessions of the device end',
      body: rotationCompletion,
      maxBodyBytes: EVIDENCE_MAX_BODY_BYTES,
      answers: { 200: { description: 'The device has the new key.', body: rotationAnswer } },
      errors: ['rotation_refused', 'challenge_expired', 'key_invalid', 'evidence_refused'],
      async answer({ params, body, requestId }) {
        const { challengeId } = params
        if (challengeId === undefined || !isUuid(challengeId)) {
          throw new ServiceError('not_found', 'There is nothing under this id.')
        }
        const rotated = await completeRotation({ deviceId: parseId(params), challengeId }, body, requestId)
        return { status: 200, body: rotated }
      },
    }),
  ]
}
