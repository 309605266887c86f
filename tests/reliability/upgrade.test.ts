import { describe, expect, test, vi } from 'vitest'
import { migrations } from '../../database/migrations.ts'
import { hasHaproxy } from '../support/haproxy.ts'
import { hasRedis } from '../support/redis.ts'
import { startClientLoad } from './client-load.ts'
import { type Fleet, nodeNames, startFleet } from './fleet.ts'
import { requireLog } from './fleet-log.ts'
import { checkOutRelease, findPreviousRelease } from './previous-release.ts'

// Half a minute on a quiet machine.
vi.setConfig({ testTimeout: 600_000 })

const found = await findPreviousRelease()
/** The first process of this release migrates. */
const [first, ...others] = nodeNames

describe.skipIf(!hasRedis || !hasHaproxy)('a fleet of the release before', () => {
  test('becomes one of this release under load, one process after the other, and nothing fails that a retry does not mend', async ({
    skip,
  }) => {
    if ('missing' in found) return skip(`no release before this one: ${found.missing}`)
    const before = await checkOutRelease(found.ref)
    const fleet = await startFleet({ checkout: before.checkout, env: { QFLARE_DRAIN_SECONDS: '1' } })
    try {
      const known = await listApplied(fleet)
      const ours = migrations.map(({ name }) => name)
      const added = ours.filter((name) => !known.includes(name))
      const balancer = await fleet.startBalancer()
      await balancer.untilAllServe()
      const load = await startClientLoad({ url: balancer.url, adminToken: await fleet.adminToken() })
      await load.settled()

      await fleet.restart(first)
      expect(await listApplied(fleet)).toEqual(ours)
      await load.settled()

      // One of the release before that crashes now does not come back, and says why.
      if (added.length > 0) {
        await expect(fleet.restart('sequencer-2', before.checkout)).rejects.toThrow(
          `The schema is newer than this release: it has ${added.join(', ')}. Start a release that knows them.`,
        )
        await fleet.start('sequencer-2')
      }
      for (const name of others) {
        await fleet.restart(name)
        await balancer.untilAllServe()
      }
      await load.settled()

      const report = await load.stop()
      // Answers that were lost, and nothing that anybody refused or that went wrong.
      const codes = Object.keys(report.failures).map((what) => what.split(': ')[1])
      expect(codes.filter((code) => !['network', 'timeout', 'bad_answer'].includes(code ?? ''))).toEqual([])
      expect(fleet.errors().filter((line) => !line.includes('This release has no job'))).toEqual([])
      const sql = await fleet.connect()
      await requireLog(sql, report.sessionIds)
      await sql.end()
      expect(Object.values(report.done).every((count) => count > 6)).toBe(true)
    } finally {
      await fleet.close()
      await before.remove()
    }
  })
})

async function listApplied(fleet: Fleet): Promise<string[]> {
  const sql = await fleet.connect()
  try {
    const { rows } = await sql.query<{ name: string }>('select name from schema_migration order by name')
    return rows.map(({ name }) => name)
  } finally {
    await sql.end()
  }
}
