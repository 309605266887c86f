// A client of QFLARE written from docs/protocol.md and docs/api.md alone, as independent-protocol.js beside it is.
//   QFLARE_ENROLLMENT_TOKEN=… node independent-client.js <base URL> [ML-DSA-44|ML-DSA-65|ML-DSA-87]
// With QFLARE_COORDINATOR_TOKEN it also enrols as a coordinator, and runs a round with its device and those of QFLARE_MEMBERS (ids
// between commas). One JSON object on stdout, or one message on stderr and exit 1. `chain0` is the chain key of `epoch`.

import { isDeepStrictEqual } from 'node:util'
import { attest } from './independent-attestation.js'
import {
  b64,
  base,
  call,
  checkEar,
  checked,
  checks,
  commKey,
  confirm,
  currentBucket,
  E,
  enrol,
  epochNow,
  exchange,
  identityAlg,
  keyPair,
  kidOf,
  must,
  ratchet,
  renew,
  Sign,
  shape,
  u64,
  unb64,
  useToken,
  uuid,
} from './independent-protocol.js'
import { rotate } from './independent-rotation.js'
import { runRound } from './independent-rounds.js'

const FEDERATION = '0197b2f0-0000-7000-8000-0000000000fe'
const ROUND = 7

// ---- The whole conversation -----------------------------------------------------------------------------------------
async function main() {
  must(/^https?:/.test(base) && /^ML-DSA-(44|65|87)$/.test(identityAlg), 'usage: <base URL> [ML-DSA-44|65|87]')
  must(process.env.QFLARE_ENROLLMENT_TOKEN?.split('.').length === 3, 'QFLARE_ENROLLMENT_TOKEN is no enrolment token')
  const device = await enrol(process.env.QFLARE_ENROLLMENT_TOKEN)
  const { data: published } = await call('GET', '/v1/trust?after=0')
  checked(isDeepStrictEqual(published.items.at(-1), device.answer.trust), 'GET /v1/trust ends with the same bundle')
  await checkEar(device)
  const session = await exchange(device, await currentBucket(device.trust))
  const confirmed = await confirm(device, session)
  await useToken(device, session, confirmed.accessToken, 'first')
  await useToken(device, session, await renew(device, session), 'renewed')
  checked(isDeepStrictEqual(await confirm(device, session), confirmed), 'the same confirmation, the same answer')
  checked(isDeepStrictEqual((await device.complete()).data, device.answer), 'the same completion, the same answer')
  const replay = await call('POST', '/v1/exchanges', { body: session.body, expect: 409 })
  checked(replay.data.code === 'replayed', 'a replayed exchange is refused')

  const { epoch, chain } = epochNow(session)
  const after = ratchet(chain, epoch + 1)
  const keys = {
    chain0: chain,
    encryption: commKey(session, chain, epoch, 'encryption'),
    signing: commKey(session, chain, epoch, 'signing'),
    nextEncryption: commKey(session, after, epoch + 1, 'encryption'),
    nextSigning: commKey(session, after, epoch + 1, 'signing'),
    roundKey: commKey(session, chain, epoch, 'round', E('round', uuid(FEDERATION), u64(ROUND))), // §5, Round keys
  }
  const encoded = Object.fromEntries(Object.entries(keys).map(([k, v]) => [k, b64(v)]))
  const coordinatorToken = process.env.QFLARE_COORDINATOR_TOKEN
  const members = (process.env.QFLARE_MEMBERS ?? '').split(',').filter(Boolean)
  const member = { device, session, bearer: confirmed.accessToken }
  const round = coordinatorToken === undefined ? undefined : await runRound(coordinatorToken, member, members)
  await attest(device, session, confirmed.accessToken)
  const tools = { E, uuid, b64, unb64, keyPair, kidOf, Sign, call, shape, checked }
  // Ends the session: last.
  const rotated = await rotate(tools, device, identityAlg, confirmed.accessToken)
  await confirm(rotated, await exchange(rotated, await currentBucket(device.trust)))
  return { deviceId: device.id, sessionId: session.sessionId, epoch, ...encoded, round, checks: [...new Set(checks)] }
}

try {
  process.stdout.write(`${JSON.stringify(await main())}\n`)
} catch (error) {
  process.stderr.write(`independent-client: ${error.message}${error.cause ? ` (${error.cause.message})` : ''}\n`)
  process.exitCode = 1
}
