import { toBase64url } from '../../protocol/encoding.ts'
import { enrollmentStart } from '../../protocol/enrollment.ts'
import { parseInput, type Route } from '../route.ts'
import type { StartEnrollment } from '../services/start-enrollment.ts'

export function startEnrollmentRoute(startEnrollment: StartEnrollment): Route {
  return {
    method: 'post',
    path: '/v1/enrollments',
    access: 'anyone',
    async answer({ body, requestId }) {
      const { token } = parseInput(enrollmentStart, body)
      const started = await startEnrollment(token, requestId)
      return { status: 201, body: { ...started, challenge: toBase64url(started.challenge) } }
    },
  }
}
