// A process of its own that opens the log of the place in its first argument (JSON), takes the whole outbox into it batch by
// batch, and kills itself where the second argument says: `<step> <how many times that step comes before>`.
import { openDatabase } from '../../database/open.ts'
import { createNativePrimitives } from '../../protocol/primitives/native.ts'
import { createEventWriter } from '../../runtime/audit-events.ts'
import { openTestLog } from '../support/log-writer.ts'
import type { LogPlace } from './log-under-test.ts'
import { recordingSigners } from './signed-records.ts'

const place = JSON.parse(process.argv[2] ?? '') as LogPlace
const [dieAt = '', before = '0'] = (process.argv[3] ?? '').split(' ')
const crypto = createNativePrimitives()
const database = openDatabase({
  connection: place.login,
  role: 'qflare_sequencer',
  maxConnections: 2,
  onConnectionLost: () => {},
})
let left = Number(before)

const log = await openTestLog({
  database,
  signers: recordingSigners(crypto, Buffer.from(place.seed, 'hex'), place.signedFile, { has87: place.has87 }),
  crypto,
  clock: { now: Date.now, offsetMs: () => 0, measuredAt: Date.now, measure: async () => {} },
  writeEvent: createEventWriter(crypto),
  trustDomain: 'test.example',
  checkpointFile: place.checkpointFile,
  async onStep(step) {
    if (step !== dieAt || left-- > 0) return
    process.kill(process.pid, 'SIGKILL')
    await new Promise(() => {})
  },
})
while ((await log.writer.append()).entries.length > 0) await log.writer.publish()
await database.close()
