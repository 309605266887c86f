import { stripVTControlCharacters } from 'node:util'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import { minuteOf } from '../../server/services/refusal-tally.ts'
import { monitorEvents } from '../../workers/jobs/monitor-events.ts'
import { addEvents } from './audit.ts'
import { monitorPartsOf } from './monitor.ts'
import type { TestService } from './service.ts'

const EVERY_MS = 200

export interface DemoMonitor extends AsyncDisposable {
  /** Of what a demo has said so far. */
  follow(said: string): void
}

/**
 * What a whole service does within some seventy seconds, here in one or two: it tells of the token that a demo used twice, and the
 * security monitor reads what is new. tests/reliability/dashboards.test.ts waits for a service that does so by itself.
 */
export function startDemoMonitor(service: TestService): DemoMonitor {
  const parts = monitorPartsOf(service)
  const told = new Set<string>()
  let watching: Promise<unknown> = Promise.resolve()
  const timer = setInterval(() => {
    watching = watching.then(() => monitorEvents(parts, service.time.now))
  }, EVERY_MS)

  async function tell(name: string): Promise<void> {
    const { rows } = await service.database.sql.query('select * from enrollment_token where name = $1', [name])
    const [{ organization_id: organizationId, id }] = rows
    const draft = {
      organizationId,
      actor: { type: 'service', id: NIL_UUID },
      type: 'enrollment_token.refused',
      subject: { enrollmentTokenId: id },
      data: { since: minuteOf(service.time.now), secret: 0, used: 1, ended: 0 },
      requestId: id,
    } as const
    await addEvents(service, [{ draft, at: service.time.now }])
  }

  return {
    follow(said) {
      const name = /The token of (demo-\w+-\d+)/.exec(stripVTControlCharacters(said))?.[1]
      if (name === undefined || told.has(name)) return
      told.add(name)
      watching = watching.then(() => tell(name))
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await watching
    },
  }
}
