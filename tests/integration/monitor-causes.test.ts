import { beforeEach, expect, test } from 'vitest'
import { canonicalJson } from '../../protocol/encoding.ts'
import { verifyTlogProof } from '../../protocol/log/tlog-proof.ts'
import { monitorRuleNames, monitorRules } from '../../protocol/monitor/rules.ts'
import { call } from '../support/api.ts'
import { useMonitor } from '../support/monitor.ts'
import { causes } from '../support/monitor-causes.ts'
import { crypto } from '../support/service.ts'
import { startTpmService } from '../support/tpm/service.ts'

/** Every rule, from the requests that bring it about to the incident that an operator sees, with proofs of what it says. */

const monitor = useMonitor(() => startTpmService({ trustProxy: ['127.0.0.1'] }))
const get = async (path: string) =>
  (await call(monitor.service, 'GET', path, { token: monitor.service.adminToken })).body

beforeEach(() => monitor.service.tick())

test.each(monitorRuleNames)('%s: one incident, whose evidence anybody verifies without the service', async (rule) => {
  const subject = await causes[rule](monitor.service)
  await monitor.watch()
  const { items } = await get(`/v1/incidents?rule=${rule}`)
  expect(items).toMatchObject([{ rule, about: subject, status: 'OPEN', severity: monitorRules[rule].severity }])
  const { events } = await get(`/v1/incidents/${items[0].id}`)
  expect(events.length).toBeGreaterThan(0)
  for (const { eventId, index } of events) {
    const { event } = await get(`/v1/audit/events/${eventId}`)
    expect(monitorRules[rule].types).toContain(event.type)
    const proof = await get(`/v1/audit/events/${eventId}/proof`)
    const entry = new TextEncoder().encode(canonicalJson(event))
    expect(verifyTlogProof(crypto, proof, entry, { log: monitor.service.log.keys }).index).toBe(index)
  }
})
