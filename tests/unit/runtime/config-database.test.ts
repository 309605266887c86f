import { expect, test } from 'vitest'
import { ConfigError, loadConfig } from '../../../runtime/config.ts'

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

test('logins for roles without DATABASE_URL are refused: the embedded database would be used in their place', () => {
  const logins = {
    QFLARE_DATABASE_URL_AUDITOR: 'postgresql://auditor@localhost/qflare',
    QFLARE_DATABASE_URL_WORKER: 'postgresql://worker@localhost/qflare',
    QFLARE_DATABASE_URL_SEQUENCER: 'postgresql://sequencer@localhost/qflare',
    QFLARE_DATABASE_URL_QUEUES: 'postgresql://queues@localhost/qflare',
    QFLARE_DATABASE_URL_MIGRATOR: 'postgresql://migrator@localhost/qflare',
    QFLARE_DATABASE_URL_DIRECT: 'postgresql://api@localhost:5433/qflare',
  }
  expect(problemsOf(logins)).toEqual(
    Object.keys(logins).map((name) =>
      expect.stringMatching(new RegExp(`^${name}: is set without DATABASE_URL, .*embedded PostgreSQL`)),
    ),
  )
  const all = { ...logins, DATABASE_URL: 'postgresql://api@localhost/qflare' }
  expect(problemsOf(all)).toEqual([])
  expect(problemsOf({ ...all, REDIS_URL: 'rediss://:secret@redis:6380/1' })).toEqual([])
})

test('the login of the queues is required where there is no Redis for them', () => {
  const logins = {
    DATABASE_URL: 'postgresql://api@localhost/qflare',
    QFLARE_DATABASE_URL_AUDITOR: 'postgresql://auditor@localhost/qflare',
    QFLARE_DATABASE_URL_WORKER: 'postgresql://worker@localhost/qflare',
    QFLARE_DATABASE_URL_SEQUENCER: 'postgresql://sequencer@localhost/qflare',
  }
  expect(problemsOf(logins)).toEqual([expect.stringMatching(/^QFLARE_DATABASE_URL_QUEUES: is required .*REDIS_URL/)])
  expect(problemsOf({ ...logins, REDIS_URL: 'rediss://redis' })).toEqual([])
  expect(problemsOf({ ...logins, REDIS_URL: 'http://redis' })).toEqual([expect.stringMatching(/^REDIS_URL: is not a/)])
})

test('the login of the migrator is not required: another process may migrate', () => {
  const names = [
    'DATABASE_URL',
    ...['AUDITOR', 'WORKER', 'SEQUENCER', 'QUEUES'].map((role) => `QFLARE_DATABASE_URL_${role}`),
  ]
  const logins = Object.fromEntries(names.map((name) => [name, 'postgresql://role@localhost/qflare']))
  expect(loadConfig(logins).database).toMatchObject({ migrator: undefined })
})

test('a sequencer alone is refused without DATABASE_URL: nobody would make what it sequences', () => {
  expect(problemsOf({ QFLARE_ROLES: 'sequencer' })).toEqual([expect.stringMatching(/^QFLARE_ROLES: a sequencer alone/)])
  expect(problemsOf({ QFLARE_ROLES: 'worker,sequencer' })).toEqual([])
})

test('temporal keys are in a Redis of their own, where several processes share a database', () => {
  const names = ['AUDITOR', 'WORKER', 'SEQUENCER', 'QUEUES', 'MIGRATOR'].map((role) => `QFLARE_DATABASE_URL_${role}`)
  const logins = Object.fromEntries(
    ['DATABASE_URL', ...names].map((name) => [name, 'postgresql://role@localhost/qflare']),
  )
  const temporal = { QFLARE_TEMPORAL_REDIS_URL: 'rediss://keys' }
  const expectProblem = (env: Record<string, string>, text: RegExp) =>
    expect(problemsOf(env)).toEqual([expect.stringMatching(text)])
  expectProblem(temporal, /^QFLARE_TEMPORAL_REDIS_URL: .*set DATABASE_URL too/)
  expectProblem({ REDIS_URL: 'http://queues' }, /^REDIS_URL: is not a redis:/)
  for (const QFLARE_ROLES of ['api', 'worker', 'api, sequencer', 'worker,sequencer']) {
    expectProblem({ ...logins, QFLARE_ROLES }, /^QFLARE_TEMPORAL_REDIS_URL: is required where the roles api and worker/)
    expect(problemsOf({ ...logins, ...temporal, QFLARE_ROLES })).toEqual([])
  }
  for (const QFLARE_ROLES of ['', 'api,worker', 'sequencer'])
    expect(problemsOf({ ...logins, QFLARE_ROLES })).toEqual([])
  for (const REDIS_URL of ['rediss://keys', 'rediss://keys:6379/3', 'rediss://:secret@keys/1']) {
    expectProblem({ ...logins, ...temporal, REDIS_URL }, /^QFLARE_TEMPORAL_REDIS_URL: is the Redis of REDIS_URL/)
  }
  expect(problemsOf({ ...logins, ...temporal, REDIS_URL: 'rediss://keys:6380' })).toEqual([])
})
