import { Writable } from 'node:stream'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createLogger } from '../../runtime/logger.ts'
import { listOddRequests, type Target, targets } from '../support/odd-requests.ts'
import { databaseContents, sendText } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'

/** What HAProxy and the service make of the same requests: tests/integration/haproxy.test.ts. */

const id = '00000000-0000-4000-8000-00000000000a'
const smuggledId = '00000000-0000-4000-8000-00000000000b'
const nextId = '00000000-0000-4000-8000-00000000000c'
const smuggled = `GET /v1/trust HTTP/1.1\r\nHost: x\r\nX-Request-Id: ${smuggledId}\r\n\r\n`
const next = `GET /v1/buckets HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: ${nextId}\r\n\r\n`

let service: TestService
let contents: Record<string, string>
let log = ''

beforeAll(async () => {
  const written = new Writable({
    write(line: Buffer, _encoding, done) {
      log += line.toString()
      done()
    },
  })
  service = await startTestService({ logger: createLogger('info', written) })
  contents = await databaseContents(service)
})
afterAll(() => service.close())

/** The answers to one connection until it is closed, in their order; `100 Continue` is none. */
async function answersTo(text: string): Promise<{ status: number; id: string | undefined }[]> {
  const received = await sendText(service, Buffer.from(text, 'latin1'))
  const answers = received.split(/(?=HTTP\/1\.1 \d)/).map((answer) => ({
    status: Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]),
    id: /^x-request-id: (\S+)/im.exec(answer)?.[1],
  }))
  return answers.filter(({ status }) => status >= 200)
}

/** Ids of requests that came to a route. */
const done = () => [...log.matchAll(/"requestId":"([^"]+)"[^\n]*"route":"\//g)].map(([, found]) => found)

/** Of the odd request, where nobody refuses it for being odd. */
const usual: Record<Target, number> = { 'POST /v1/exchanges': 400, 'POST /v1/devices': 405, 'GET /v1/buckets': 200 }

test.each(listOddRequests({ id, smuggled }))('$what: $reading, and what stands in it is not answered', async (odd) => {
  const { text, reading } = odd
  const isAlike = text(targets[0]) === text(targets[1])
  const tried = targets.filter((to) => !isAlike || to === 'GET /v1/buckets')
  const all = await Promise.all(tried.map((to) => answersTo(text(to) + next)))
  for (const [index, to] of tried.entries()) {
    const answers = all[index] ?? []
    if (reading === 'refused') {
      // Where nothing reads the body, the answer may be there before the body is refused.
      expect(answers.length, to).toBeLessThanOrEqual(1)
      if (isAlike || to === 'POST /v1/exchanges') expect(answers[0]?.status, to).toBeOneOf([400, 413])
      expect([smuggledId, nextId], to).not.toContain(answers[0]?.id)
    } else {
      const answered = { status: usual[to], id }
      expect(answers, to).toEqual(reading === 'last' ? [answered] : [answered, { status: 200, id: nextId }])
    }
  }
})

test('what comes behind a request that closes the connection is not answered', async () => {
  for (const to of targets) {
    const text = `${to} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: ${id}\r\n\r\n`
    const answers = await answersTo(`${text}${smuggled}${next}`)
    expect(answers.map((answer) => answer.id).filter((found) => found !== id)).toEqual([])
  }
})

test('of all of these nothing that was smuggled came to a route, and nothing was stored', async () => {
  await sendText(service, smuggled.replace('X-Request-Id', 'Connection: close\r\nX-Request-Id').replace(/b\r/, 'd\r'))
  expect(done()).toContain('00000000-0000-4000-8000-00000000000d')
  expect(done()).toContain(nextId)
  expect(done()).not.toContain(smuggledId)
  expect(await databaseContents(service)).toEqual(contents)
})
