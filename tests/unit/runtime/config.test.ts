import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ConfigError, configVariables, isLoopback, loadConfig } from '../../../runtime/config.ts'

const example = readFileSync(join(import.meta.dirname, '..', '..', '..', 'config.example.env'), 'utf8')

function problemsOf(env: Record<string, string | undefined>): string[] {
  try {
    loadConfig(env)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const [head, ...problems] = error.message.split('\n')
    expect(head).toBe('The configuration cannot be used:')
    return problems.map((problem) => problem.trim())
  }
  return []
}

describe('loadConfig', () => {
  test('needs no variable: it listens on loopback and brings its own database', () => {
    expect(loadConfig({})).toEqual({
      http: { host: '127.0.0.1', port: 8470, trustProxy: undefined },
      dataDirectory: join(process.cwd(), '.qflare'),
      database: undefined,
      databaseConnections: 10,
      trustDomain: 'qflare.local',
      roles: ['api', 'worker'],
      crypto: undefined,
      exchangeQueueLength: 512,
      logLevel: 'info',
    })
  })

  test('takes every variable', () => {
    const config = loadConfig({
      HOST: '0.0.0.0',
      PORT: '0',
      QFLARE_TRUST_PROXY: '10.0.0.1, 10.1.0.0/16,',
      QFLARE_DATA_DIR: '/var/lib/x',
      DATABASE_URL: 'postgresql://api@db/qflare',
      QFLARE_DATABASE_URL_WORKER: 'postgres://worker@db/qflare',
      QFLARE_DATABASE_URL_MIGRATOR: 'postgresql://migrator@db/qflare',
      QFLARE_DATABASE_CONNECTIONS: '200',
      QFLARE_TRUST_DOMAIN: 'fleet-1.example',
      QFLARE_ROLES: 'worker',
      QFLARE_CRYPTO: 'portable',
      QFLARE_EXCHANGE_QUEUE: '1',
      QFLARE_LOG_LEVEL: 'debug',
    })
    expect(config).toEqual({
      http: { host: '0.0.0.0', port: 0, trustProxy: ['10.0.0.1', '10.1.0.0/16'] },
      dataDirectory: '/var/lib/x',
      database: {
        api: 'postgresql://api@db/qflare',
        worker: 'postgres://worker@db/qflare',
        migrator: 'postgresql://migrator@db/qflare',
      },
      databaseConnections: 200,
      trustDomain: 'fleet-1.example',
      roles: ['worker'],
      crypto: 'portable',
      exchangeQueueLength: 1,
      logLevel: 'debug',
    })
  })

  test('reports all problems at once, each by the name of its variable', () => {
    const problems = problemsOf({
      HOST: '0.0.0.0',
      PORT: '65536',
      DATABASE_URL: 'mysql://db',
      QFLARE_DATABASE_CONNECTIONS: '1',
      QFLARE_TRUST_DOMAIN: 'Upper.example',
      QFLARE_ROLES: 'api,chef',
      QFLARE_CRYPTO: 'magic',
      QFLARE_EXCHANGE_QUEUE: '10001',
      QFLARE_LOG_LEVEL: 'loud',
    })
    expect(problems.map((problem) => problem.slice(0, problem.indexOf(':')))).toEqual([
      'PORT',
      'DATABASE_URL',
      'QFLARE_DATABASE_CONNECTIONS',
      'QFLARE_TRUST_DOMAIN',
      'QFLARE_ROLES.1',
      'QFLARE_CRYPTO',
      'QFLARE_EXCHANGE_QUEUE',
      'QFLARE_LOG_LEVEL',
      'HOST',
      'QFLARE_DATABASE_URL_WORKER',
      'QFLARE_DATABASE_URL_MIGRATOR',
    ])
  })

  test('takes an empty variable for one that is not set', () => {
    const empty = Object.fromEntries(configVariables.map((name) => [name, '']))
    expect(loadConfig(empty)).toEqual(loadConfig({}))
    const problems = problemsOf({ DATABASE_URL: 'postgres://db', QFLARE_DATABASE_URL_WORKER: '' })
    expect(problems).toHaveLength(2)
  })

  test.each(['PORT', 'QFLARE_DATABASE_CONNECTIONS', 'QFLARE_EXCHANGE_QUEUE'])(
    'refuses a %s that is no number',
    (name) => {
      for (const text of ['12x', '3.5', '-1', 'NaN', 'Infinity', '1e3', '0x10', ' 10'])
        expect(problemsOf({ [name]: text }), text).toHaveLength(1)
    },
  )

  test.each([',', ' , '])('refuses a list without an entry: %j', (text) => {
    expect(problemsOf({ HOST: '0.0.0.0', QFLARE_TRUST_PROXY: text })).toEqual([
      expect.stringContaining('QFLARE_TRUST_PROXY'),
    ])
    expect(problemsOf({ QFLARE_ROLES: text })).toEqual([expect.stringContaining('QFLARE_ROLES')])
  })
})

test.each(['proxy.example', '10.0.0.1:80', '10.0.0.0/33', '10.0.0.1, loopback'])(
  'a proxy is named by address or network, not as %s',
  (text) => {
    const problems = problemsOf({ HOST: '0.0.0.0', QFLARE_TRUST_PROXY: text })
    expect(problems).toEqual([expect.stringMatching(/^QFLARE_TRUST_PROXY\.\d: is not an IP address or a network/)])
  },
)

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

describe('config.example.env', () => {
  const entries = [...example.matchAll(/^([A-Z_]+)=(.*)$/gm)].map(
    ([, name, value]) => [name, value] as [string, string],
  )

  test('names every variable, and the root key, once', () => {
    expect(entries.map(([name]) => name).sort()).toEqual([...configVariables, 'QFLARE_ROOT_KEY'].sort())
  })

  test('holds the defaults', () => {
    expect(loadConfig(Object.fromEntries(entries))).toEqual(loadConfig({}))
  })

  test('shows the default of every variable that has one', () => {
    const withDefault = entries.filter(([, value]) => value !== '').map(([name]) => name)
    expect(withDefault).toEqual([
      'HOST',
      'PORT',
      'QFLARE_DATA_DIR',
      'QFLARE_DATABASE_CONNECTIONS',
      'QFLARE_TRUST_DOMAIN',
      'QFLARE_ROLES',
      'QFLARE_EXCHANGE_QUEUE',
      'QFLARE_LOG_LEVEL',
    ])
  })

  test('explains each group of variables', () => {
    for (const block of example.trim().split('\n\n')) expect(block).toMatch(/^# /)
  })
})
