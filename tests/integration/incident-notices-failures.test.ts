import type { ServerResponse } from 'node:http'
import { beforeEach, describe, expect, test } from 'vitest'
import type { Database } from '../../database/open.ts'
import { JobStopped } from '../../workers/job.ts'
import { sendIncidentNotices } from '../../workers/jobs/send-incident-notices.ts'
import { MOST_ATTEMPTS } from '../../workers/monitor/notice-delay.ts'
import { useMonitor } from '../support/monitor.ts'
import {
  makeIncidents,
  makeSecret,
  type NoticeParts,
  noticePartsOf,
  send,
  startReceiver,
  storedNotices,
} from '../support/notice-receiver.ts'
import { makeServerCredential } from '../support/tls-files.ts'

/** Receivers that are away, slow, wrong or hostile, and processes that end in the middle of it. */

const HOUR_MS = 3_600_000
const monitor = useMonitor()
const keys = [makeSecret().key]

beforeEach(() => monitor.service.log.sequence())

/** With so many incidents to tell of. */
async function open({ count = 1, timeoutMs = 10_000 } = {}) {
  const receiver = await startReceiver()
  const parts = noticePartsOf(monitor.service, { url: receiver.url, keys, timeoutMs })
  await makeIncidents(monitor.service, parts, monitor.organizationId, count)
  return { receiver, parts }
}

const results = async ({ metrics }: NoticeParts) =>
  Object.fromEntries((await metrics.incidentNotices.get()).values.map(({ labels, value }) => [labels.result, value]))

/** A promise and its end. */
function gate<T = void>() {
  return Promise.withResolvers<T>()
}

describe('a receiver that was not told is asked again', () => {
  test('later, with the same id and body and the time of then, until it is told', async () => {
    const { receiver, parts } = await open()
    receiver.answerWith((response) => void response.writeHead(500).end())
    expect(await send(parts)).toBe(0)
    expect(await storedNotices(monitor.service)).toMatchObject([{ attempts: 1, dueInMs: 5_000 }])
    monitor.service.time.now += 4_999
    expect([await send(parts), receiver.received.length]).toEqual([0, 1])
    monitor.service.time.now += 1
    receiver.answerWith((response) => void response.writeHead(200).end('thank you'))
    expect([await send(parts), await send(parts)]).toEqual([1, 0])
    const [first, second] = receiver.received
    expect(receiver.received).toHaveLength(2)
    expect(second?.body).toBe(first?.body)
    expect(second?.headers['webhook-id']).toBe(first?.headers['webhook-id'])
    expect(Number(second?.headers['webhook-timestamp'])).toBe(Number(first?.headers['webhook-timestamp']) + 5)
    expect(await results(parts)).toEqual({ failed: 1, delivered: 1 })
    expect(await monitor.outbox('incident.notice_delivered')).toMatchObject([{ data: { attempts: 2 } }])
  })

  test('when nobody listened, and somebody does again', async () => {
    const { receiver, parts } = await open()
    await receiver.close()
    expect(await send(parts)).toBe(0)
    expect(await storedNotices(monitor.service)).toMatchObject([{ attempts: 1 }])
    const again = await startReceiver({ port: Number(new URL(receiver.url).port) })
    monitor.service.time.now += 10_000
    expect([await send(parts), again.received.length]).toEqual([1, 1])
  })

  test('when it did not answer in time', async () => {
    const { receiver, parts } = await open({ timeoutMs: 100 })
    receiver.answerWith(() => {})
    expect([await send(parts), receiver.received.length]).toEqual([0, 1])
    expect(await storedNotices(monitor.service)).toMatchObject([{ attempts: 1, dueInMs: 5_000 }])
  })

  test('when it broke off, or answered what is no HTTP', async () => {
    const { receiver, parts } = await open()
    receiver.answerWith((response) => void response.socket?.end('I am a teapot\r\n\r\n'))
    expect(await send(parts)).toBe(0)
    monitor.service.time.now += 10_000
    receiver.answerWith((response) => void response.socket?.destroy())
    expect(await send(parts)).toBe(0)
    expect(await storedNotices(monitor.service)).toMatchObject([{ attempts: 2 }])
  })

  test('when its certificate is not one to be trusted: it is told nothing', async () => {
    const { parts } = await open()
    const receiver = await startReceiver({ tls: makeServerCredential() })
    expect(await send({ ...parts, incidentWebhook: { url: receiver.url, keys, timeoutMs: 10_000 } })).toBe(0)
    expect(receiver.received).toEqual([])
    expect(await storedNotices(monitor.service)).toMatchObject([{ attempts: 1 }])
  })

  test.each([301, 302, 303, 307, 308])('when it answered %i: nobody else is told in its place', async (status) => {
    const { receiver, parts } = await open()
    const elsewhere = await startReceiver()
    receiver.answerWith((response) => void response.writeHead(status, { location: elsewhere.url }).end())
    expect([await send(parts), receiver.received.length, elsewhere.received.length]).toEqual([0, 1, 0])
    expect(await storedNotices(monitor.service)).toMatchObject([{ attempts: 1 }])
  })

  test('no sooner than it asked for, and within an hour whatever it asked for', async () => {
    const { receiver, parts } = await open()
    for (const [seconds, dueInMs] of [
      ['1800', 1_800_000],
      ['999999999', HOUR_MS],
      ['Wed, 21 Oct 2026 07:28:00 GMT', 20_000],
    ] as const) {
      receiver.answerWith((response) => void response.writeHead(429, { 'retry-after': seconds }).end())
      await send(parts)
      expect(await storedNotices(monitor.service)).toMatchObject([{ dueInMs }])
      monitor.service.time.now += dueInMs
    }
  })
})

test('an answer without an end is not read: its status counts', async () => {
  const { receiver, parts } = await open()
  const closed = gate()
  receiver.answerWith((response) => {
    const timer = setInterval(() => response.write(Buffer.alloc(64 << 10)), 1)
    response.on('close', () => {
      clearInterval(timer)
      closed.resolve()
    })
    response.writeHead(200)
  })
  expect(await send(parts)).toBe(1)
  await closed.promise
  expect(await storedNotices(monitor.service)).toEqual([])
})

describe('a notice is given up, which is an event', () => {
  const givenUp = () => monitor.outbox('incident.notice_given_up')

  test('when the receiver says that it wants no more of them', async () => {
    const { receiver, parts } = await open()
    receiver.answerWith((response) => void response.writeHead(410).end())
    expect([await send(parts), await storedNotices(monitor.service)]).toEqual([0, []])
    expect(await givenUp()).toMatchObject([
      { organizationId: monitor.organizationId, data: { notice: 'incident.opened', attempts: 1, because: 'gone' } },
    ])
    expect(await results(parts)).toEqual({ given_up: 1 })
  })

  test('after as many tries as a day has, and not one before', async () => {
    const { receiver, parts } = await open()
    receiver.answerWith((response) => void response.writeHead(503).end())
    await monitor.sql('update incident_notice set attempts = $1', [MOST_ATTEMPTS - 2])
    await send(parts)
    expect(await storedNotices(monitor.service)).toMatchObject([{ attempts: MOST_ATTEMPTS - 1, dueInMs: HOUR_MS / 2 }])
    monitor.service.time.now += HOUR_MS
    await send(parts)
    expect(await storedNotices(monitor.service)).toEqual([])
    expect(await givenUp()).toMatchObject([{ data: { attempts: MOST_ATTEMPTS, because: 'attempts' } }])
  })

  test('when the service has no receiver any more, a day after it was due', async () => {
    const { receiver, parts } = await open()
    const without = { ...parts, incidentWebhook: undefined }
    monitor.service.time.now += 24 * HOUR_MS - 1
    await send(without)
    expect(await storedNotices(monitor.service)).toHaveLength(1)
    monitor.service.time.now += 1
    await send(without)
    expect([await storedNotices(monitor.service), receiver.received]).toEqual([[], []])
    expect(await givenUp()).toMatchObject([{ data: { because: 'no_receiver' } }])
  })

  test('not without it: where the event cannot be stored, the notice stays', async () => {
    const { receiver, parts } = await open()
    const { sql } = monitor.service.database
    receiver.answerWith((response) => void response.writeHead(410).end())
    await sql.query(
      `alter table audit_outbox add constraint hindered check (organization_id <> '${monitor.organizationId}') not valid`,
    )
    await expect(send(parts)).rejects.toThrow()
    await sql.query('alter table audit_outbox drop constraint hindered')
    expect(await storedNotices(monitor.service)).toMatchObject([{ attempts: 1, dueInMs: 60_000 }])
  })
})

describe('a process that ends', () => {
  test('between the request and its mark has it made again, with the same id, once it counts as lost', async () => {
    const { receiver, parts } = await open()
    await expect(send({ ...parts, database: dyingAfter(parts.database, 1) })).rejects.toThrow('killed')
    expect(receiver.received).toHaveLength(1)
    monitor.service.time.now += 59_999
    expect(await send(parts)).toBe(0)
    monitor.service.time.now += 1
    expect(await send(parts)).toBe(1)
    expect(receiver.received).toHaveLength(2)
    expect(new Set(receiver.ids()).size).toBe(1)
    expect(await monitor.outbox('incident.notice_delivered')).toMatchObject([{ data: { attempts: 2 } }])
  })

  test('and is asked to, begins no further one, and stores the end of those on the way', async () => {
    const { receiver, parts } = await open({ count: 12 })
    let asked = 0
    const stopping = async () => {
      if (++asked > 3) throw new JobStopped()
    }
    await expect(sendIncidentNotices(parts, () => 0, stopping)).rejects.toThrow(JobStopped)
    expect(receiver.received).toHaveLength(3)
    expect(await storedNotices(monitor.service)).toHaveLength(9)
  })
})

test('of a try that counted as lost the late end changes nothing', async () => {
  const { receiver, parts } = await open()
  const late = gate<ServerResponse>()
  receiver.answerWith((response) => late.resolve(response))
  const lost = send(parts)
  const response = await late.promise
  monitor.service.time.now += 60_000
  receiver.answerWith((other) => void other.writeHead(500).end())
  await send(noticePartsOf(monitor.service, parts.incidentWebhook))
  const before = await storedNotices(monitor.service)
  response.writeHead(410).end()
  expect(await lost).toBe(0)
  expect(await storedNotices(monitor.service)).toEqual(before)
  expect(before).toMatchObject([{ attempts: 2 }])
  expect(await monitor.outbox('incident.notice_given_up')).toEqual([])
})

test('workers that run at once tell of each once, and of none at the same time', async () => {
  const { receiver, parts } = await open({ count: 30 })
  receiver.answerWith((response) => void setTimeout(() => response.writeHead(204).end(), 5))
  const workers = [parts, ...[1, 2].map(() => noticePartsOf(monitor.service, parts.incidentWebhook))]
  const counts = await Promise.all(workers.map(send))
  expect(counts.reduce((sum, count) => sum + count)).toBe(30)
  expect(receiver.received).toHaveLength(30)
  expect(new Set(receiver.ids()).size).toBe(30)
})

test('a receiver that is slow or away is asked eight times at once at most, and by no more in a run than those that failed', async () => {
  const { receiver, parts } = await open({ count: 30 })
  const onTheWay: ServerResponse[] = []
  receiver.answerWith((response) => {
    // None is answered before the eighth is there, nor at once then: another would come as well.
    if (onTheWay.push(response) !== 8) return
    setTimeout(() => onTheWay.forEach((each) => void each.writeHead(500).end()), 50)
  })
  expect(await send(parts)).toBe(0)
  expect(receiver.received).toHaveLength(8)
  expect((await storedNotices(monitor.service)).filter(({ attempts }) => attempts === 0)).toHaveLength(22)
})

/** Fails every transaction of an organization after so many. */
function dyingAfter(database: Database, transactions: number): Database {
  let left = transactions
  return {
    ...database,
    withOrganization: (...args: Parameters<Database['withOrganization']>) => {
      if (left-- <= 0) throw new Error('killed')
      return database.withOrganization(...args)
    },
  } as Database
}
