import type { EnrollmentChallenge } from '../protocol/enrollment.ts'
import type { SignatureAlgorithm } from '../protocol/suites.ts'
import { QflareError } from './errors.ts'

/** Of a new identity key: the one that is wanted, or the policy's first. Throws `policy_refused`, also where the policy wants evidence that this device has not. */
export function chooseAlgorithm(
  policy: EnrollmentChallenge['policy'],
  wanted: SignatureAlgorithm | undefined,
): SignatureAlgorithm {
  const alg = wanted ?? policy.identityAlgorithms[0]
  if (alg === undefined || !policy.identityAlgorithms.includes(alg)) {
    throw new QflareError(
      'policy_refused',
      `The server takes identity keys of ${policy.identityAlgorithms.join(', ')}.`,
    )
  }
  if (!policy.evidence.includes('none')) {
    throw new QflareError('policy_refused', `The server wants evidence (${policy.evidence.join(', ')}): there is none.`)
  }
  return alg
}
