import { execFileSync } from 'node:child_process'
import { Client } from 'pg'
import { afterAll, describe, expect, test, vi } from 'vitest'
import { createLogger } from '../../runtime/logger.ts'
import { openQueueBackend, openQueues } from '../../workers/open-queues.ts'
import { root } from '../architecture/repository.ts'
import { hasAlertmanager, type Notice, startTestAlertmanager } from '../support/alertmanager.ts'
import { makeTestFolder, stop } from '../support/operations.ts'
import { urlOf } from '../support/own-postgres.ts'
import { startOwnStores } from '../support/own-stores.ts'
import { hasPrometheus, startTestPrometheus } from '../support/prometheus.ts'
import { hastenRules } from '../support/prometheus-config.ts'
import { findFreePort, hasRedis } from '../support/redis.ts'
import { spawnService } from '../support/service-process.ts'

vi.setConfig({ testTimeout: 240_000, hookTimeout: 60_000 })

const WITHIN = { timeout: 60_000, interval: 200 }
/** Of a machine whose clock is three seconds ahead: enough for the alert, too little for a process to be not ready. */
const AHEAD = `--import=data:text/javascript,${encodeURIComponent('const { now } = Date; Date.now = () => now() + 3_000')}`

describe.skipIf(!hasAlertmanager)('prometheus/alertmanager.yml', () => {
  test('is an example that amtool takes', () => {
    const args = ['check-config', 'prometheus/alertmanager.yml']
    expect(execFileSync('amtool', args, { cwd: root, encoding: 'utf8', stdio: 'pipe' })).toContain('SUCCESS')
  })
})

describe.skipIf(!hasPrometheus || !hasRedis || !hasAlertmanager)('alerts whose causes are real', () => {
  const stack = new AsyncDisposableStack()
  afterAll(() => stack.disposeAsync())

  test('reach whom they concern, with their runbook, and so does their end', async () => {
    const { postgres, env: shared } = await startOwnStores(stack)
    const start = async (env: Record<string, string>) => {
      const port = await findFreePort()
      const process = spawnService(await makeTestFolder(), { ...shared, ...env, QFLARE_OPERATOR_PORT: String(port) })
      return { process, role: 'worker', target: `127.0.0.1:${port}` }
    }
    const whole = await start({ QFLARE_ROLES: 'api,worker,sequencer' })
    await whole.process.ready()
    const ahead = await start({ QFLARE_ROLES: 'worker', NODE_OPTIONS: AHEAD })
    await ahead.process.said(/ready at no address/)
    const alertmanager = await startTestAlertmanager()
    stack.defer(() => alertmanager.stop())
    const prometheus = await startTestPrometheus({
      targets: [whole, ahead],
      alertmanager: alertmanager.address,
      changeAlerts: hastenRules,
    })
    stack.defer(() => prometheus.stop())
    const sql = new Client(urlOf(postgres, 'postgres', postgres.superuserPassword))
    await sql.connect()
    stack.defer(() => sql.end())

    const fires = (...names: string[]) =>
      vi.waitFor(async () => expect(await prometheus.alerts()).toEqual(names.toSorted()), WITHIN)
    const told = (name: string, status: Notice['status']) =>
      vi.waitFor(() => {
        const about = alertmanager.notices.filter(({ groupLabels }) => groupLabels['alertname'] === name)
        const found = about.find((notice) => notice.status === status)
        expect(found, `${name} ${status}`).toBeDefined()
        return found as Notice
      }, WITHIN)

    await fires('QflareClockOffset', 'QflareRoleAbsent')
    // Two roles that nobody lists are one message, beside that of the third, until it was first asked.
    const absent = () =>
      alertmanager.notices
        .filter(({ groupLabels }) => groupLabels['alertname'] === 'QflareRoleAbsent')
        .map(({ receiver, alerts }) => [
          receiver,
          ...alerts.flatMap(({ status, labels }) => (status === 'firing' ? [labels['role'] ?? ''] : [])).toSorted(),
        ])
    await vi.waitFor(() => expect(absent()).toContainEqual(['on-call', 'api', 'sequencer']), WITHIN)
    const clock = await told('QflareClockOffset', 'firing')
    expect(clock).toMatchObject({
      receiver: 'tickets',
      alerts: [
        {
          labels: { instance: ahead.target, severity: 'ticket' },
          annotations: { runbook_url: 'docs/runbooks/clock-offset.md', dashboard: '/d/qflare-temporal-keys' },
        },
      ],
    })
    await stop(ahead.process)

    const { rows } = await sql.query<{ kid: string }>(`select kid from signing_key where key_use = 'root'`)
    const backend = await openQueueBackend({
      redisUrl: undefined,
      rootKid: rows[0]?.kid ?? '',
      connection: {
        connection: { connectionString: urlOf(postgres, 'queues_login', 'secret-of-queues') },
        role: undefined,
      },
      workers: 0,
      logger: createLogger('silent'),
    })
    stack.defer(() => backend.close())
    const { maintenance } = await openQueues(backend, createLogger('silent'))
    await maintenance.pause()
    expect(await told('QflareQueueStuck', 'firing')).toMatchObject({
      receiver: 'tickets',
      alerts: [{ labels: { queue: 'maintenance' }, annotations: { runbook_url: 'docs/runbooks/queue-stuck.md' } }],
    })
    await maintenance.resume()
    await told('QflareQueueStuck', 'resolved')

    // The keys of buckets are lost, and nobody can make others.
    await sql.query(`revoke insert on temporal_key from qflare_worker; delete from bucket_certificate;
      delete from temporal_key where kind = 'bucket'`)
    expect(await told('QflareBucketRolloverLate', 'firing')).toMatchObject({
      receiver: 'on-call',
      alerts: [
        {
          labels: { severity: 'page' },
          annotations: {
            summary: 'The bucket of now has no key',
            runbook_url: 'docs/runbooks/bucket-rollover-late.md',
            dashboard: '/d/qflare-temporal-keys',
          },
        },
      ],
    })
    await sql.query('grant insert on temporal_key to qflare_worker')
    await told('QflareBucketRolloverLate', 'resolved')
    await told('QflareClockOffset', 'resolved')

    for (const { receiver, alerts } of alertmanager.notices) {
      const severities = new Set(alerts.map(({ labels }) => labels['severity']))
      expect(severities).toEqual(new Set([receiver === 'on-call' ? 'page' : 'ticket']))
    }
  })
})
