import { describe, expect, it } from 'vitest'
import { isSignedWebhook, parseWebhookSecret, signWebhook } from '../../../../protocol/monitor/webhook-signature.ts'
import { providers, toUtf8 } from '../../../support/protocol-providers.ts'

/** As the libraries of Standard Webhooks have it in their tests (github.com/standard-webhooks/standard-webhooks). */
const published = {
  secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  message: {
    id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    timestampSeconds: 1_614_265_330,
    body: toUtf8('{"test": 2432232314}'),
  },
  signature: 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
}

function keyOf(secret: string): Uint8Array {
  const key = parseWebhookSecret(secret)
  if (key === undefined) throw new Error('This is no secret.')
  return key
}

describe.each(providers)('$provider signs webhooks', (crypto) => {
  const key = keyOf(published.secret)
  const other = crypto.randomBytes(32)
  const { message, signature } = published

  it('as the libraries of the standard do', () => {
    expect(signWebhook(crypto, [key], message)).toBe(signature)
    expect(isSignedWebhook(crypto, [key], message, signature)).toBe(true)
  })

  it('with each key, and takes either of them', () => {
    const both = signWebhook(crypto, [other, key], message)
    expect(both.split(' ')).toEqual([signWebhook(crypto, [other], message), signature])
    for (const known of [[key], [other], [crypto.randomBytes(32), key]]) {
      expect(isSignedWebhook(crypto, known, message, both)).toBe(true)
    }
  })

  it('and passes over signatures of other versions and of other keys', () => {
    const header = `v1a,${'A'.repeat(86)}== v2,x ${signWebhook(crypto, [other], message)} ${signature}`
    expect(isSignedWebhook(crypto, [key], message, header)).toBe(true)
  })

  it.each([
    '',
    ' ',
    'v1,',
    'v1',
    signature.replace('v1,', ''),
    signature.replace('v1,', 'v1a,'),
    signature.replace('v1,', 'V1,'),
    signature.replace('=', ''),
    signature.replaceAll('+', '-').replaceAll('/', '_'),
    `${signature},x`,
    `${'v1,x '.repeat(16)}${signature}`,
  ])('and takes no other text for its signature: %j', (header) => {
    expect(isSignedWebhook(crypto, [key], message, header)).toBe(false)
  })

  it('so that another id, time, body or key is another signature', () => {
    const others = [
      { ...message, id: `${message.id}x` },
      { ...message, timestampSeconds: message.timestampSeconds + 1 },
      { ...message, body: toUtf8('{"test": 2432232315}') },
    ]
    for (const changed of others) expect(isSignedWebhook(crypto, [key], changed, signature)).toBe(false)
    expect(isSignedWebhook(crypto, [other], message, signature)).toBe(false)
    expect(isSignedWebhook(crypto, [], message, signature)).toBe(false)
  })
})
