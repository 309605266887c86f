import type { ClientConfig } from 'pg'
import { tryHoldLock } from '../../database/hold-lock.ts'
import type { Database } from '../../database/open.ts'
import { createLogger } from '../../runtime/logger.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { type Sequencer, startSequencer } from '../../workers/sequencer/sequencer.ts'
import { type LogPlace, openAsSequencer, writerPartsOf } from './log-place.ts'

/** The sequencer as the service runs it, with its lock and its restarts, on a database that a test may have made worse. */
export function runSequencer(
  place: LogPlace,
  database: Database,
  connection: ClientConfig = place.login,
): Promise<Sequencer> {
  return startSequencer(
    {
      ...writerPartsOf(place, database),
      lock: () => tryHoldLock(connection, { key: 4_711, applicationName: 'test_sequencer' }, () => {}),
      logger: createLogger('silent'),
      metrics: createMetrics(),
      onFatal(error) {
        throw error
      },
    },
    false,
  )
}

// As a process of its own, of the log in its first argument (JSON): says `started`, and works until its standard input ends.
if (import.meta.main) {
  const place = JSON.parse(process.argv[2] ?? '') as LogPlace
  const database = openAsSequencer(place.login)
  const sequencer = await runSequencer(place, database)
  process.stdout.write('started\n')
  process.stdin.resume().on('end', () => void sequencer.close().then(() => database.close()))
}
