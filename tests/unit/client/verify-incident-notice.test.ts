import { createHmac, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { verifyIncidentNotice } from '../../../client/verify-incident-notice.ts'

const NOW = 1_795_926_000_000
const key = randomBytes(32)
const secret = `whsec_${key.toString('base64')}`
const incidentId = '0195f3a0-0000-7000-8000-000000000001'
const notice = {
  type: 'incident.opened',
  timestamp: '2026-11-29T05:00:00.000Z',
  data: {
    incidentId,
    organizationId: '0195f3a0-0000-7000-8000-000000000002',
    rule: 'access-refused',
    about: 'api_token 0195f3a0-0000-7000-8000-000000000003',
    severity: 'warning',
    count: 5,
    devices: 0,
    openedAt: NOW,
    path: `/v1/incidents/${incidentId}`,
  },
}

/** Signed by the test, as it is or with something else in its place. */
function request(changes: { id?: string; seconds?: number | string; body?: string; by?: Buffer } = {}) {
  const { id = 'a-notice', seconds = NOW / 1000, body = JSON.stringify(notice), by = key } = changes
  const signature = createHmac('sha256', by).update(`${id}.${seconds}.${body}`).digest('base64')
  const headers = {
    'webhook-id': id,
    'webhook-timestamp': String(seconds),
    'webhook-signature': `v1,${signature}`,
  } as Record<string, string | string[] | undefined>
  return { headers, body }
}

const refused = { code: 'notice_refused' }

describe('a notice of an incident', () => {
  it('is taken from the headers of Node and of the web, and from text and bytes', async () => {
    const { headers, body } = request()
    const expected = { id: 'a-notice', ...notice }
    expect(await verifyIncidentNotice(secret, headers, body, NOW)).toEqual(expected)
    const web = new Headers(headers as Record<string, string>)
    expect(await verifyIncidentNotice(secret, web, Buffer.from(body), NOW)).toEqual(expected)
  })

  it('may be signed with one of several secrets', async () => {
    const { headers, body } = request()
    const other = `whsec_${randomBytes(32).toString('base64')}`
    expect(await verifyIncidentNotice([other, secret], headers, body, NOW)).toMatchObject({ id: 'a-notice' })
    await expect(verifyIncidentNotice([other], headers, body, NOW)).rejects.toMatchObject(refused)
    await expect(verifyIncidentNotice([], headers, body, NOW)).rejects.toMatchObject(refused)
  })

  it('has the types and members of later releases too', async () => {
    const later = { ...notice, type: 'incident.slept', more: 1, data: { ...notice.data, severity: 'grave', more: [2] } }
    const { headers, body } = request({ body: JSON.stringify(later) })
    expect(await verifyIncidentNotice(secret, headers, body, NOW)).toEqual({ id: 'a-notice', ...later })
  })

  it.each([-300, 300])('is taken %i seconds away from when it was signed, and not a second more', async (away) => {
    const { headers, body } = request()
    const further = NOW + (away + Math.sign(away)) * 1000
    expect(await verifyIncidentNotice(secret, headers, body, NOW + away * 1000)).toMatchObject({ id: 'a-notice' })
    await expect(verifyIncidentNotice(secret, headers, body, further)).rejects.toMatchObject(refused)
  })

  it('is not taken at no time', async () => {
    const { headers, body } = request()
    await expect(verifyIncidentNotice(secret, headers, body, Number.NaN)).rejects.toMatchObject(refused)
  })

  it.each(['webhook-id', 'webhook-timestamp', 'webhook-signature'])('needs one %s', async (name) => {
    const { headers, body } = request()
    for (const value of [undefined, '', 'x', [headers[name] as string, 'x']]) {
      const changed = { ...headers, [name]: value }
      await expect(verifyIncidentNotice(secret, changed, body, NOW)).rejects.toMatchObject(refused)
    }
  })

  it('is refused with another body, and with another key', async () => {
    const { headers, body } = request()
    await expect(verifyIncidentNotice(secret, headers, `${body} `, NOW)).rejects.toMatchObject(refused)
    const other = request({ by: randomBytes(32) })
    await expect(verifyIncidentNotice(secret, other.headers, other.body, NOW)).rejects.toMatchObject(refused)
  })

  it.each([
    { id: 'a.notice' },
    { id: 'x'.repeat(65) },
    { seconds: '1795926000.5' },
    { seconds: '1e9' },
    { seconds: '-1' },
    { seconds: '0x10' },
  ])('is refused with what is no id or time, whoever signed it: %j', async (changes) => {
    const { headers, body } = request(changes)
    await expect(verifyIncidentNotice(secret, headers, body, NOW)).rejects.toMatchObject(refused)
  })

  it.each(['', '{', 'null', '[]', '{}', JSON.stringify({ ...notice, data: {} })])(
    'is refused when what is signed is none: %j',
    async (text) => {
      const { headers, body } = request({ body: text })
      await expect(verifyIncidentNotice(secret, headers, body, NOW)).rejects.toMatchObject(refused)
    },
  )

  it.each(['', 'whsec_', key.toString('base64'), `whsec_${randomBytes(16).toString('base64')}`])(
    'is not looked at with what is no secret: %j',
    async (text) => {
      const { headers, body } = request()
      await expect(verifyIncidentNotice(text, headers, body, NOW)).rejects.toMatchObject({
        code: 'input_invalid',
        field: 'secret',
      })
    },
  )
})

describe('the receiver in docs/operations.md', () => {
  it('takes what the library takes, and refuses what it refuses', async () => {
    const document = await readFile(join(import.meta.dirname, '../../../docs/operations.md'), 'utf8')
    const [, code = ''] = /^```js\n([\s\S]*?)^```$/m.exec(document) ?? []
    const { isNotice } = await import(`data:text/javascript,${encodeURIComponent(code)}`)
    const { headers, body } = request()
    const known = (changes: object, text = body, now = NOW) =>
      isNotice(secret, { ...headers, ...changes }, Buffer.from(text), now)
    expect([known({}), known({}, body, NOW + 300_000), known({}, body, NOW - 300_000)]).toEqual([true, true, true])
    const both = `v1a,x ${String(headers['webhook-signature'])}`
    expect(known({ 'webhook-signature': both })).toBe(true)
    for (const refusal of [
      known({}, `${body} `),
      known({}, body, NOW + 301_000),
      known({}, body, NOW - 301_000),
      known({ 'webhook-id': 'another' }),
      known({ 'webhook-timestamp': undefined }),
      known({ 'webhook-timestamp': 'soon' }),
      known({ 'webhook-signature': undefined }),
      known({ 'webhook-signature': 'v1,é'.padEnd(47, 'é') }),
      isNotice(`whsec_${randomBytes(32).toString('base64')}`, headers, Buffer.from(body), NOW),
    ]) {
      expect(refusal).toBe(false)
    }
  })
})
