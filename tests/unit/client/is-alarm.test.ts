import { describe, expect, it } from 'vitest'
import { QflareError } from '../../../client/errors.ts'
import { isAlarm } from '../../../client/is-alarm.ts'
import { ProtocolError } from '../../../protocol/errors.ts'

describe('an alarm', () => {
  it.each(['trust_invalid', 'certificate_invalid', 'confirmation_invalid', 'signature_invalid'] as const)(
    'is a check of the server’s keys that failed: %s',
    (code) => {
      expect(isAlarm(new ProtocolError(code, 'x'))).toBe(true)
    },
  )

  it.each(['trust_mismatch', 'clock_refused'])('is also %s, which the other end or its time says', (code) => {
    expect(isAlarm(new QflareError(code, 'x'))).toBe(true)
  })

  it.each(['bucket_out_of_window', 'crypto_unavailable'] as const)('is not %s', (code) => {
    expect(isAlarm(new ProtocolError(code, 'x'))).toBe(false)
  })

  it.each(['epoch_gone', 'input_invalid', 'network', 'tls_failed', 'exchange_refused', 'key_invalid'])(
    'is not %s of the library or the server',
    (code) => {
      expect(isAlarm(new QflareError(code, 'x'))).toBe(false)
    },
  )

  it('is no other error, and nothing that only looks like one', () => {
    for (const other of [new Error('x'), { code: 'trust_invalid' }, undefined]) expect(isAlarm(other)).toBe(false)
  })
})
