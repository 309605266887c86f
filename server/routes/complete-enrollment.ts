import { enrollmentCompletion } from '../../protocol/enrollment.ts'
import { EVIDENCE_MAX_BODY_BYTES } from '../read-body.ts'
import { parseInput, type Route } from '../route.ts'
import type { CompleteEnrollment } from '../services/complete-enrollment.ts'
import { parseId } from './ids.ts'

export function completeEnrollmentRoute(completeEnrollment: CompleteEnrollment): Route {
  return {
    method: 'post',
    path: '/v1/enrollments/:id/complete',
    access: 'anyone',
    maxBodyBytes: EVIDENCE_MAX_BODY_BYTES,
    async answer({ params, body, requestId }) {
      const enrolled = await completeEnrollment(parseId(params), parseInput(enrollmentCompletion, body), requestId)
      return { status: 201, headers: { location: `/v1/devices/${enrolled.deviceId}` }, body: enrolled }
    },
  }
}
