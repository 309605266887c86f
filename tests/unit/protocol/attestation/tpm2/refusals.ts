import { expect } from 'vitest'
import { ProtocolError } from '../../../../../protocol/errors.ts'
import { type TestEvidence, verifyEvidence } from '../../../../support/tpm/evidence.ts'

/** The check that evidence fails, or `malformed`, or nothing. */
export function failedCheckOf(evidence: TestEvidence): string | undefined {
  return checkOf(() => verifyEvidence(evidence))
}

export function checkOf(attempt: () => unknown): string | undefined {
  try {
    attempt()
    return undefined
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    if (error.code === 'evidence_malformed') return 'malformed'
    expect(error.code).toBe('evidence_refused')
    return error.check
  }
}
