import { describe, expect, test } from 'vitest'
import { storeTransportProblems } from '../../../runtime/store-transport.ts'
import { urlVariables } from '../../../runtime/url-files.ts'

const isRefused = (variables: Record<string, string>) => storeTransportProblems(variables).length > 0

describe('a PostgreSQL', () => {
  test.each([
    'postgresql://x:y@db/qflare',
    'postgres://x:y@10.0.0.5:5432/qflare',
    'postgresql://x:y@[fd00::5]/qflare',
    'postgresql://x:y@db/qflare?sslmode=disable',
    'postgresql://x:y@db/qflare?sslmode=prefer',
    'postgresql://x:y@db/qflare?sslmode=require',
    'postgresql://x:y@db/qflare?sslmode=verify-ca',
    'postgresql://x:y@db/qflare?sslmode=no-verify',
    'postgresql://x:y@db/qflare?ssl=true',
    'postgresql://x:y@db/qflare?sslmode=verify-full&sslmode=disable',
    'postgresql://x:y@localhost/qflare?host=db',
    'postgresql://x:y@/qflare?host=db',
    'postgresql://x:y@localhost.example/qflare',
    'postgresql://x:y@127.example/qflare',
  ])('on another machine is refused without verify-full: %s', (url) => {
    expect(isRefused({ DATABASE_URL: url })).toBe(true)
  })

  test.each([
    'postgresql://x:y@db/qflare?sslmode=verify-full',
    'postgresql://x:y@db/qflare?sslmode=disable&sslmode=verify-full',
    'postgresql://x:y@/qflare?host=db&sslmode=verify-full&sslrootcert=/etc/ca.crt',
    'postgresql://x:y@localhost/qflare',
    'postgresql://x:y@127.0.0.1:5433/qflare',
    'postgresql://x:y@[::1]/qflare',
    'postgresql://x:y@/qflare?host=%2Fvar%2Frun%2Fpostgresql',
    'postgresql://x:y@db/qflare?host=/var/run/postgresql',
    'postgresql://x:y@%2Fvar%2Frun/qflare',
    'postgresql:///qflare',
  ])('with verify-full, or on this machine, is taken: %s', (url) => {
    expect(isRefused({ DATABASE_URL: url })).toBe(false)
  })

  test('that is named by PGHOST alone is the one that is meant', () => {
    const url = 'postgresql:///qflare'
    expect(isRefused({ DATABASE_URL: url, PGHOST: 'db' })).toBe(true)
    expect(isRefused({ DATABASE_URL: `${url}?sslmode=verify-full`, PGHOST: 'db' })).toBe(false)
    expect(isRefused({ DATABASE_URL: url, PGHOST: '/run/postgresql' })).toBe(false)
    // With a user too, where it is no URL but for PostgreSQL.
    expect(isRefused({ DATABASE_URL: 'postgresql://x:y@/qflare', PGHOST: 'db' })).toBe(true)
    expect(isRefused({ DATABASE_URL: 'postgresql://x:y@/qflare', PGHOST: '/run/postgresql' })).toBe(false)
    expect(isRefused({ DATABASE_URL: 'postgresql://x:y@/qflare' })).toBe(false)
  })
})

test('a Redis on another machine is refused without rediss', () => {
  for (const url of ['redis://keys', 'redis://:x@10.0.0.6:6379/1', 'redis://[fd00::6]', 'redis:///0?host=keys']) {
    expect(isRefused({ REDIS_URL: url }), url).toBe(true)
    expect(isRefused({ REDIS_URL: url.replace('redis', 'rediss') }), url).toBe(false)
  }
  for (const url of ['redis://localhost', 'redis://127.0.0.1:6380', 'redis://[::1]:6379/2']) {
    expect(isRefused({ REDIS_URL: url }), url).toBe(false)
  }
})

test('every URL with a password is looked at, and each problem names its variable and no password', () => {
  for (const name of urlVariables) {
    const url = name.includes('REDIS') ? 'redis://user:secret@store' : 'postgresql://user:secret@store/qflare'
    const problems = storeTransportProblems({ [name]: url })
    expect(problems).toEqual([expect.stringMatching(new RegExp(`^${name}: store is another machine`))])
    expect(problems[0]).not.toContain('secret')
  }
})

test('an exception is for the hosts that are named, and for no other', () => {
  const variables = { DATABASE_URL: 'postgresql://db/q', REDIS_URL: 'redis://limits', QFLARE_STORES_WITHOUT_TLS: 'db' }
  expect(storeTransportProblems(variables)).toEqual([expect.stringMatching(/^REDIS_URL: limits/)])
  expect(storeTransportProblems({ ...variables, QFLARE_STORES_WITHOUT_TLS: ' limits , db ' })).toEqual([])
  expect(isRefused({ DATABASE_URL: 'postgresql://db.example/q', QFLARE_STORES_WITHOUT_TLS: 'db' })).toBe(true)
})

test('what is no URL is another rule’s to refuse', () => {
  expect(storeTransportProblems({ DATABASE_URL: 'mysql://db', REDIS_URL: 'redis' })).toEqual([])
})
