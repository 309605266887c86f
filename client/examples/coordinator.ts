// A coordinator: enrols once, and runs one round of a federation that it is assigned to, from its keys to its certificate.
//
//   node client/examples/coordinator.ts http://127.0.0.1:8470 coordinator.json FEDERATION < coordinator.token
//
// The token is of kind coordinator, and read at the first start only. In a project of your own the first import is `from 'qflare'`.
import { writeFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import {
  createFileStore,
  enrollDevice,
  formatRoundCertificateFile,
  openDevice,
  type QflareDevice,
  QflareError,
} from '../qflare.ts'

const [url = 'http://127.0.0.1:8470', path = 'coordinator.json', federationId = ''] = process.argv.slice(2)
const store = createFileStore(path)

async function openOrEnroll(): Promise<QflareDevice> {
  try {
    return await openDevice({ store })
  } catch (error) {
    if (!(error instanceof QflareError && error.code === 'not_enrolled')) throw error
  }
  const token = await text(process.stdin)
  return enrollDevice({ url, token, name: 'coordinator', kind: 'coordinator', store })
}

/** Where your framework aggregates what the devices send under these keys. */
async function train(keys: { deviceId: string; key: Uint8Array }[]): Promise<Uint8Array> {
  const all = Buffer.concat(keys.map(({ key }) => key))
  const aggregate = new Uint8Array(await crypto.subtle.digest('SHA-256', all))
  all.fill(0)
  return aggregate
}

const coordinator = await openOrEnroll()
await coordinator.exchangeWhenDue()

const round = await coordinator.openRound(federationId, { minParticipants: 1 })
const { keys, refused } = await coordinator.roundKeys(federationId, round)
for (const { deviceId, code } of refused) console.error(`${deviceId} is not in round ${round}: ${code}`)
const aggregateHash = await train(keys)
for (const { key } of keys) key.fill(0)

const { state, participants } = await coordinator.closeRound(federationId, round, { aggregateHash })
console.log(JSON.stringify({ round, state, participants: participants.map(({ deviceId }) => deviceId) }))

// The log has its end a moment later; until then the certificate is without its proof.
let file = await coordinator.roundCertificate(federationId, round)
while (file.proof === null) {
  await new Promise((done) => setTimeout(done, 250))
  file = await coordinator.roundCertificate(federationId, round)
}
await writeFile(`round-${round}.json`, formatRoundCertificateFile(file))
