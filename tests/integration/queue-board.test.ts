import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { createLogger } from '../../runtime/logger.ts'
import { openQueueBackend, openQueues, type QueueBackend } from '../../workers/open-queues.ts'
import { hasChromium, launchChromium } from '../support/browser.ts'
import { type QueueServer, queueServers, startTestWorkers, testJob } from '../support/job-queues.ts'
import { hasRedis } from '../support/redis.ts'
import { expectRefusal, sendRaw } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { makeApiToken } from '../support/tenants.ts'

const paths = ['', '/', '/api/queues', '/static/js/main.js', '/queue/keys', '/..%2f..%2fv1/jobs']
const basic = (password: string, user = 'admin') => `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`

describe.each(['PostgreSQL', 'Redis'] as const)('the page of the queues, in %s', (name) => {
  const isHere = name === 'PostgreSQL' || hasRedis
  let server: QueueServer
  let backend: QueueBackend
  let service: TestService
  let operator: { url: string }

  beforeAll(async () => {
    if (!isHere) return
    server = await queueServers[name]()
    const logger = createLogger('silent')
    backend = await openQueueBackend({ ...server, workers: 0, logger })
    const queues = Object.values(await openQueues(backend, logger))
    service = await startTestService({ queues, hasOperatorPort: true, limits: { addressRefused: 40 } })
    operator = { url: service.operatorUrl as string }
  })
  afterAll(async () => {
    await service?.close()
    await backend?.close()
    await server?.stop()
  })
  const skipElsewhere = (skip: (why: string) => void) => {
    if (!isHere) skip('there is no redis-server on this machine')
  }
  const get = (path: string, authorization?: string, method = 'GET') =>
    sendRaw(operator, method, `/admin/queues${path}`, {
      headers: authorization === undefined ? {} : { authorization },
    })

  test('is never on the port of the API', async ({ skip }) => {
    skipElsewhere(skip)
    const headers = { authorization: basic(service.adminToken) }
    for (const path of paths) {
      expect((await sendRaw(service, 'GET', `/admin/queues${path}`, { headers })).status, path).toBe(404)
    }
  })

  test('gives nothing to who is no administrator of the service, and asks for HTTP Basic', async ({ skip }) => {
    skipElsewhere(skip)
    const { token: admin } = await makeApiToken(service, ['admin'])
    for (const path of paths.slice(0, 5)) {
      const anonymous = await get(path)
      expectRefusal(anonymous, 401, 'unauthenticated')
      expect(anonymous.headers.get('www-authenticate')).toMatch(/^Basic realm=/)
      expectRefusal(await get(path, `Bearer ${service.adminToken}`), 401, 'unauthenticated')
      expectRefusal(await get(path, basic(`${service.adminToken}x`)), 401, 'unauthenticated')
      expectRefusal(await get(path, basic('x', service.adminToken)), 401, 'unauthenticated')
      expectRefusal(await get(path, basic(admin)), 403, 'forbidden')
    }
  })

  test('only shows: nothing is changed with it', async ({ skip }) => {
    skipElsewhere(skip)
    const authorization = basic(service.adminToken)
    expect((await get('/', authorization)).status).toBe(200)
    for (const [method, path] of [
      ['PUT', '/api/queues/keys/pause'],
      ['POST', '/api/queues/keys/add'],
      ['PUT', '/api/queues/keys/obliterate'],
      ['DELETE', '/api/queues/keys/schedulers/x'],
    ] as const) {
      expectRefusal(await get(path, authorization, method), 405, 'method_not_allowed')
    }
  })

  test('guessing has the limit of wrong API tokens', async ({ skip }) => {
    skipElsewhere(skip)
    const guess = async () => (await get('/', basic(`${service.adminToken}x`))).status
    await vi.waitFor(async () => expect(await guess()).toBe(429), { timeout: 10_000, interval: 1 })
    expect((await get('/', basic(service.adminToken))).status).toBe(200)
  })

  describe.skipIf(!hasChromium)('in a real browser', () => {
    let browser: Browser
    beforeAll(async () => {
      browser = await launchChromium()
    })
    afterAll(() => browser.close())

    test('shows every queue and a failed run with its reason, and asks nobody else for anything', async ({ skip }) => {
      skipElsewhere(skip)
      const broken = testJob(
        async () => {
          throw new Error('the disk is full')
        },
        { attempts: 1, schedule: { everyMs: 3_600_000 } },
      )
      const { queues } = await startTestWorkers(server, { broken })
      await vi.waitFor(async () => expect(await queues.maintenance.getFailedCount()).toBe(1), 10_000)
      const context = await browser.newContext({
        httpCredentials: { username: 'anyone', password: service.adminToken },
      })
      const page = await context.newPage()
      page.setDefaultTimeout(8_000)
      const answered: string[] = []
      page.on('response', (response) => answered.push(response.url()))
      await page.goto(`${operator.url}/admin/queues`)
      const shown = expect.poll(() => page.locator('body').innerText(), { timeout: 8_000 })
      for (const queue of ['keys', 'maintenance', 'long']) await shown.toContain(queue)
      await page.goto(`${operator.url}/admin/queues/queue/maintenance?status=failed`)
      const failed = expect.poll(() => page.locator('body').textContent(), { timeout: 8_000 })
      await failed.toContain('broken')
      await failed.toContain('the disk is full')
      expect(answered.filter((url) => !url.startsWith(operator.url) && !url.startsWith('data:'))).toEqual([])
      await context.close()
    })
  })
})
