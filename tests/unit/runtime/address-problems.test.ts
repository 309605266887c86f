import { describe, expect, test } from 'vitest'
import { isLoopback } from '../../../runtime/address-problems.ts'
import { ConfigError, loadConfig } from '../../../runtime/config.ts'

function problemsOf(env: Record<string, string>): readonly string[] {
  try {
    loadConfig(env)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

test('authorities of clients without a certificate of the server are refused: nobody would be asked', () => {
  expect(problemsOf({ QFLARE_TLS_CLIENT_CA_FILE: '/ca' })).toEqual([
    expect.stringMatching(/^QFLARE_TLS_CLIENT_CA_FILE: needs QFLARE_TLS_CERT_FILE/),
  ])
  const pair = { QFLARE_TLS_CERT_FILE: '/crt', QFLARE_TLS_KEY_FILE: '/key' }
  expect(problemsOf({ ...pair, QFLARE_TLS_CLIENT_CA_FILE: '/ca' })).toEqual([])
})

describe('an address that other machines reach', () => {
  const loopback = ['127.0.0.1', '127.255.255.254', 'localhost', '::1', '::ffff:127.0.0.1']
  const reachable = [
    '0.0.0.0',
    '::',
    '192.168.1.7',
    '128.0.0.1',
    '127.0.0.1.example',
    '127.1',
    '::ffff:10.0.0.1',
    'a.b',
  ]

  test.each(loopback)('is not %s', (host) => {
    expect(isLoopback(host)).toBe(true)
    expect(problemsOf({ HOST: host })).toEqual([])
  })

  test.each(reachable)('is %s: refused without a proxy that ends TLS', (host) => {
    expect(isLoopback(host)).toBe(false)
    expect(problemsOf({ HOST: host })).toEqual([expect.stringMatching(`^HOST: ${host} is reachable.*plain HTTP`)])
    expect(problemsOf({ HOST: host, QFLARE_TRUST_PROXY: '10.0.0.1' })).toEqual([])
  })
})
