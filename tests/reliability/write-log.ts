// A process of its own that opens the log in its first argument (JSON), takes the whole outbox into it batch by batch, and kills
// itself where the second argument says: `<step> <how many times that step comes before>`.
import { openTestLog } from '../support/log-writer.ts'
import { clock, crypto, type LogPlace, openAsSequencer, signersOf, TRUST_DOMAIN, writeEvent } from './log-place.ts'

const place = JSON.parse(process.argv[2] ?? '') as LogPlace
const [dieAt = '', before = '0'] = (process.argv[3] ?? '').split(' ')
const database = openAsSequencer(place.login)
let left = Number(before)

const { writer } = await openTestLog({
  database,
  signers: signersOf(place),
  crypto,
  clock,
  writeEvent,
  trustDomain: TRUST_DOMAIN,
  checkpointFile: place.checkpointFile,
  async onStep(step) {
    if (step !== dieAt || left-- > 0) return
    process.kill(process.pid, 'SIGKILL')
    await new Promise(() => {})
  },
})
while ((await writer.append()).entries.length > 0) await writer.publish()
await database.close()
