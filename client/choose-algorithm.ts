import type { EnrollmentChallenge } from '../protocol/enrollment.ts'
import type { SignatureAlgorithm } from '../protocol/suites.ts'
import { QflareError } from './errors.ts'

/** Of a new identity key: the one that is wanted, or the policy's first. Throws `policy_refused`. */
export function chooseAlgorithm(
  policy: EnrollmentChallenge['policy'],
  wanted: SignatureAlgorithm | undefined,
): SignatureAlgorithm {
  const alg = wanted ?? policy.identityAlgorithms[0]
  if (alg !== undefined && policy.identityAlgorithms.includes(alg)) return alg
  throw new QflareError('policy_refused', `The server takes identity keys of ${policy.identityAlgorithms.join(', ')}.`)
}
