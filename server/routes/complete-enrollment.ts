import { enrollmentAnswer, enrollmentCompletion } from '../../protocol/enrollment.ts'
import { PASS_HEADER } from '../claimants.ts'
import { EVIDENCE_MAX_BODY_BYTES } from '../read-body.ts'
import { defineRoute, type Route } from '../route.ts'
import type { CompleteEnrollment } from '../services/complete-enrollment.ts'
import { parseId } from './ids.ts'

export function completeEnrollmentRoute(completeEnrollment: CompleteEnrollment): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/enrollments/:id/complete',
    access: 'anyone',
    queue: 'open_work',
    summary: 'Complete an enrolment',
    body: enrollmentCompletion,
    maxBodyBytes: EVIDENCE_MAX_BODY_BYTES,
    answers: {
      201: { description: 'The device is enrolled.', body: enrollmentAnswer, hasLocation: true, hasPass: true },
    },
    errors: [
      'enrollment_refused',
      'challenge_expired',
      'kind_mismatch',
      'key_invalid',
      'trust_mismatch',
      'evidence_refused',
    ],
    async answer({ params, body, requestId }) {
      const { enrolled, pass } = await completeEnrollment(parseId(params), body, requestId)
      const headers = { location: `/v1/devices/${enrolled.deviceId}`, [PASS_HEADER]: pass }
      return { status: 201, headers, body: enrolled }
    },
  })
}
