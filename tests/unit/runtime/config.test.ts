import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ConfigError, configVariables, loadConfig } from '../../../runtime/config.ts'

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

const DAY_MS = 86_400_000

describe('loadConfig', () => {
  test('needs no variable: it listens on loopback and brings its own database', () => {
    expect(loadConfig({})).toEqual({
      http: {
        host: '127.0.0.1',
        port: 8470,
        trustProxy: undefined,
        corsOrigins: [],
        connectionsPerAddress: 1_000,
        tls: undefined,
      },
      operator: undefined,
      drainSeconds: 0,
      limits: { address: 60_000, addressRefused: 600, apiToken: 12_000, device: 120, organization: 120_000 },
      dataDirectory: join(process.cwd(), '.qflare'),
      database: undefined,
      redisUrl: undefined,
      temporalRedisUrl: undefined,
      databaseConnections: 10,
      trustDomain: 'qflare.local',
      profile: 'default',
      roles: ['api', 'worker', 'sequencer'],
      audit: {
        checkpointFile: join(process.cwd(), '.qflare', 'audit-checkpoint'),
        retentionYears: undefined,
        witnesses: [],
      },
      federationPolicy: 'development',
      rotation: {
        signingKeyAge: { bucket: 90 * DAY_MS, attestation: 90 * DAY_MS, audit: 365 * DAY_MS },
        overlap: { bucket: 3_600_000, attestation: 3_600_000, audit: DAY_MS },
        kekAge: 365 * DAY_MS,
      },
      identityKeyMaxAgeDays: 365,
      apiTokenMaxDays: 365,
      collateralWarningHours: 72,
      incidentWebhook: undefined,
      tracing: undefined,
      crypto: undefined,
      exchangeQueueLength: 512,
      sessionRetentionDays: 7,
      retention: { attestationDays: 400, incidentDays: 400 },
      logLevel: 'info',
    })
  })

  test('takes every variable', () => {
    const config = loadConfig({
      HOST: '0.0.0.0',
      PORT: '0',
      QFLARE_TRUST_PROXY: '10.0.0.1, 10.1.0.0/16,',
      QFLARE_CORS_ORIGINS: 'https://console.example,http://127.0.0.1:8471',
      QFLARE_TLS_CERT_FILE: '/etc/tls/tls.crt',
      QFLARE_TLS_KEY_FILE: '/etc/tls/tls.key',
      QFLARE_TLS_CLIENT_CA_FILE: '/etc/tls/clients.crt',
      QFLARE_TLS_GROUPS: 'X25519MLKEM768/X25519',
      QFLARE_OPERATOR_HOST: '0.0.0.0',
      QFLARE_OPERATOR_PORT: '9090',
      QFLARE_DRAIN_SECONDS: '60',
      QFLARE_LIMIT_CONNECTIONS: '10000',
      QFLARE_LIMIT_ADDRESS: '0',
      QFLARE_LIMIT_ADDRESS_REFUSED: '1',
      QFLARE_LIMIT_API_TOKEN: '3',
      QFLARE_LIMIT_DEVICE: '2',
      QFLARE_LIMIT_ORGANIZATION: '100000000',
      QFLARE_SECURITY_CONTACT: 'mailto:x@y.example',
      QFLARE_SECURITY_POLICY: 'https://y.example',
      QFLARE_SECURITY_LANGUAGES: 'de, en',
      QFLARE_DATA_DIR: '/var/lib/x',
      DATABASE_URL: 'postgresql://api@db/qflare',
      QFLARE_DATABASE_URL_AUDITOR: 'postgresql://auditor@db/qflare',
      QFLARE_DATABASE_URL_WORKER: 'postgres://worker@db/qflare',
      QFLARE_DATABASE_URL_SEQUENCER: 'postgresql://sequencer@db/qflare',
      QFLARE_DATABASE_URL_QUEUES: 'postgresql://queues@db/qflare',
      QFLARE_DATABASE_URL_MIGRATOR: 'postgresql://migrator@db/qflare',
      QFLARE_DATABASE_URL_DIRECT: 'postgresql://api@db:5433/qflare',
      REDIS_URL: 'redis://:secret@queues:6379/1',
      QFLARE_TEMPORAL_REDIS_URL: 'rediss://keys',
      QFLARE_STORES_WITHOUT_TLS: 'db, queues',
      QFLARE_DATABASE_CONNECTIONS: '200',
      QFLARE_TRUST_DOMAIN: 'fleet-1.example',
      QFLARE_PROFILE: 'cnsa-2.0',
      QFLARE_ROLES: 'worker',
      QFLARE_CHECKPOINT_FILE: '/mnt/elsewhere/checkpoint',
      QFLARE_AUDIT_RETENTION_YEARS: '7',
      QFLARE_SIGNING_KEY_DAYS: '365',
      QFLARE_SIGNING_KEY_OVERLAP_MINUTES: '10',
      QFLARE_AUDIT_KEY_DAYS: '600',
      QFLARE_AUDIT_KEY_OVERLAP_DAYS: '30',
      QFLARE_KEK_DAYS: '1',
      QFLARE_IDENTITY_KEY_MAX_AGE_DAYS: '0',
      QFLARE_API_TOKEN_MAX_DAYS: '30',
      QFLARE_COLLATERAL_WARNING_HOURS: '8760',
      QFLARE_INCIDENT_WEBHOOK_URL: 'https://on-call.example/hooks/a?team=b',
      QFLARE_INCIDENT_WEBHOOK_SECRET_FILE: '/run/secrets/webhook',
      QFLARE_TRACES_URL: 'https://traces.example/v1/traces',
      QFLARE_TRACES_RATIO: '0.25',
      QFLARE_CRYPTO: 'portable',
      QFLARE_EXCHANGE_QUEUE: '1',
      QFLARE_SESSION_RETENTION_DAYS: '3650',
      QFLARE_ATTESTATION_RETENTION_DAYS: '7',
      QFLARE_INCIDENT_RETENTION_DAYS: '30',
      QFLARE_LOG_LEVEL: 'debug',
    })
    expect(config).toEqual({
      http: {
        host: '0.0.0.0',
        port: 0,
        trustProxy: ['10.0.0.1', '10.1.0.0/16'],
        corsOrigins: ['https://console.example', 'http://127.0.0.1:8471'],
        connectionsPerAddress: 10_000,
        tls: {
          certFile: '/etc/tls/tls.crt',
          keyFile: '/etc/tls/tls.key',
          groups: 'X25519MLKEM768/X25519',
          clientCaFile: '/etc/tls/clients.crt',
        },
      },
      operator: { host: '0.0.0.0', port: 9090 },
      drainSeconds: 60,
      limits: { address: 0, addressRefused: 1, apiToken: 3, device: 2, organization: 100_000_000 },
      securityContact: { contacts: ['mailto:x@y.example'], policy: 'https://y.example', languages: ['de', 'en'] },
      dataDirectory: '/var/lib/x',
      database: {
        api: 'postgresql://api@db/qflare',
        auditor: 'postgresql://auditor@db/qflare',
        worker: 'postgres://worker@db/qflare',
        sequencer: 'postgresql://sequencer@db/qflare',
        queues: 'postgresql://queues@db/qflare',
        migrator: 'postgresql://migrator@db/qflare',
        direct: 'postgresql://api@db:5433/qflare',
      },
      redisUrl: 'redis://:secret@queues:6379/1',
      temporalRedisUrl: 'rediss://keys',
      databaseConnections: 200,
      trustDomain: 'fleet-1.example',
      profile: 'cnsa-2.0',
      roles: ['worker'],
      audit: { checkpointFile: '/mnt/elsewhere/checkpoint', retentionYears: 7, witnesses: [] },
      federationPolicy: 'production',
      rotation: {
        signingKeyAge: { bucket: 365 * DAY_MS, attestation: 365 * DAY_MS, audit: 600 * DAY_MS },
        overlap: { bucket: 600_000, attestation: 600_000, audit: 30 * DAY_MS },
        kekAge: DAY_MS,
      },
      identityKeyMaxAgeDays: 0,
      apiTokenMaxDays: 30,
      collateralWarningHours: 8_760,
      incidentWebhook: { url: 'https://on-call.example/hooks/a?team=b', secretFile: '/run/secrets/webhook' },
      tracing: { url: 'https://traces.example/v1/traces', ratio: 0.25 },
      crypto: 'portable',
      exchangeQueueLength: 1,
      sessionRetentionDays: 3_650,
      retention: { attestationDays: 7, incidentDays: 30 },
      logLevel: 'debug',
    })
  })

  test('reports all problems at once, each by the name of its variable', () => {
    const problems = problemsOf({
      HOST: '0.0.0.0',
      PORT: '65536',
      DATABASE_URL: 'mysql://db',
      QFLARE_TEMPORAL_REDIS_URL: 'redis',
      QFLARE_DATABASE_CONNECTIONS: '1',
      QFLARE_TRUST_DOMAIN: 'Upper.example',
      QFLARE_PROFILE: 'cnsa-1.0',
      QFLARE_ROLES: 'api,chef',
      QFLARE_CRYPTO: 'magic',
      QFLARE_EXCHANGE_QUEUE: '10001',
      QFLARE_LOG_LEVEL: 'loud',
    })
    expect(problems.map((problem) => problem.slice(0, problem.indexOf(':')))).toEqual([
      'PORT',
      'DATABASE_URL',
      'QFLARE_DATABASE_CONNECTIONS',
      'QFLARE_TEMPORAL_REDIS_URL',
      'QFLARE_TRUST_DOMAIN',
      'QFLARE_PROFILE',
      'QFLARE_ROLES.1',
      'QFLARE_CRYPTO',
      'QFLARE_EXCHANGE_QUEUE',
      'QFLARE_LOG_LEVEL',
      'HOST',
      'QFLARE_DATABASE_URL_AUDITOR',
      'QFLARE_DATABASE_URL_WORKER',
      'QFLARE_DATABASE_URL_SEQUENCER',
      'QFLARE_DATABASE_URL_QUEUES',
    ])
  })

  test('takes an empty variable for one that is not set', () => {
    const empty = Object.fromEntries(configVariables.map((name) => [name, '']))
    expect(loadConfig(empty)).toEqual(loadConfig({}))
    expect(problemsOf({ DATABASE_URL: 'postgres://localhost', QFLARE_DATABASE_URL_WORKER: '' })).toHaveLength(4)
  })

  test.each([
    'PORT',
    'QFLARE_OPERATOR_PORT',
    'QFLARE_DRAIN_SECONDS',
    'QFLARE_LIMIT_DEVICE',
    'QFLARE_DATABASE_CONNECTIONS',
    'QFLARE_EXCHANGE_QUEUE',
    'QFLARE_SESSION_RETENTION_DAYS',
    'QFLARE_AUDIT_RETENTION_YEARS',
    'QFLARE_IDENTITY_KEY_MAX_AGE_DAYS',
    'QFLARE_COLLATERAL_WARNING_HOURS',
  ])('refuses a %s that is no number', (name) => {
    for (const text of ['12x', '3.5', '-1', 'NaN', 'Infinity', '1e3', '0x10', ' 10'])
      expect(problemsOf({ [name]: text }), text).toHaveLength(1)
  })

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

test.each([
  '*',
  'null',
  'https://console.example/',
  'https://console.example/app',
  'console.example',
  'file:///x',
  ',',
])('an origin whose pages may call is written as browsers write it, not as %s', (text) => {
  expect(problemsOf({ QFLARE_CORS_ORIGINS: text })).toEqual([expect.stringMatching(/^QFLARE_CORS_ORIGINS/)])
})

describe('TLS', () => {
  const tls = { QFLARE_TLS_CERT_FILE: 'tls.crt', QFLARE_TLS_KEY_FILE: 'tls.key' }

  test('needs a certificate and its key, as files from where the service was started', () => {
    expect(loadConfig(tls).http.tls).toMatchObject({
      certFile: join(process.cwd(), 'tls.crt'),
      keyFile: join(process.cwd(), 'tls.key'),
    })
    const { QFLARE_TLS_KEY_FILE: _key, ...cert } = tls
    const { QFLARE_TLS_CERT_FILE: _cert, ...key } = tls
    expect(problemsOf(cert)).toEqual([
      expect.stringMatching(/^QFLARE_TLS_KEY_FILE: is required with QFLARE_TLS_CERT_FILE/),
    ])
    expect(problemsOf(key)).toEqual([
      expect.stringMatching(/^QFLARE_TLS_CERT_FILE: is required with QFLARE_TLS_KEY_FILE/),
    ])
  })

  test('lets other machines reach the service without a proxy', () => {
    expect(problemsOf({ ...tls, HOST: '0.0.0.0' })).toEqual([])
    expect(problemsOf({ QFLARE_TLS_KEY_FILE: 'tls.key', HOST: '0.0.0.0' })).toHaveLength(2)
  })

  test.each(['', ':', 'X25519:', 'a b', 'X25519;P-256', '?X25519'])('takes a list of groups, not "%s"', (text) => {
    const expected = text === '' ? [] : [expect.stringMatching(/^QFLARE_TLS_GROUPS: is not a list of groups/)]
    expect(problemsOf({ ...tls, QFLARE_TLS_GROUPS: text })).toEqual(expected)
  })
})

describe('the operator port', () => {
  test('is on loopback unless a host is named, not the port of the API, and none when only its host is set', () => {
    expect(loadConfig({ QFLARE_OPERATOR_PORT: '0' }).operator).toEqual({ host: '127.0.0.1', port: 0 })
    expect(problemsOf({ QFLARE_OPERATOR_PORT: '8470' })).toEqual([
      'QFLARE_OPERATOR_PORT: 8470 is the port of the API already; take another one.',
    ])
    expect(problemsOf({ QFLARE_OPERATOR_PORT: '8470', QFLARE_OPERATOR_HOST: '127.0.0.2' })).toEqual([])
    expect(problemsOf({ QFLARE_OPERATOR_PORT: '0', PORT: '0' })).toEqual([])
    expect(problemsOf({ QFLARE_OPERATOR_PORT: '65536' })).toHaveLength(1)
    expect(loadConfig({ QFLARE_OPERATOR_HOST: '0.0.0.0' }).operator).toBeUndefined()
  })
})
