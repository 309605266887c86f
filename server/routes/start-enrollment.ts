import { toBase64url } from '../../protocol/encoding.ts'
import { enrollmentChallenge, enrollmentStart } from '../../protocol/enrollment.ts'
import { defineRoute, type Route } from '../route.ts'
import type { StartEnrollment } from '../services/start-enrollment.ts'

export function startEnrollmentRoute(startEnrollment: StartEnrollment): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/enrollments',
    access: 'anyone',
    queue: 'open_work',
    summary: 'Begin an enrolment',
    body: enrollmentStart,
    answers: { 201: { description: 'The challenge that the new device answers.', body: enrollmentChallenge } },
    errors: ['enrollment_refused'],
    async answer({ body, requestId }) {
      const started = await startEnrollment(body.token, requestId)
      return { status: 201, body: { ...started, challenge: toBase64url(started.challenge) } }
    },
  })
}
