import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { openAuditor } from '../../client/auditor.ts'
import { canonicalJson } from '../../protocol/encoding.ts'
import { verifyCheckpoint } from '../../protocol/log/checkpoint.ts'
import { verifyTlogProof } from '../../protocol/log/tlog-proof.ts'
import { formatVerifierKey, parseVerifierKey } from '../../protocol/log/verifier-key.ts'
import { call } from '../support/api.ts'
import { makeTestFolder, stop } from '../support/operations.ts'
import { readAdminToken, spawnService } from '../support/service-process.ts'
import { crypto, makeFolder, startHere } from '../support/witness.ts'

test('a log gathers the cosignatures of its witnesses on one checkpoint, and proofs carry them', async () => {
  const folder = await makeTestFolder()
  const first = spawnService(folder)
  const { keys } = await openAuditor({ url: await first.ready() }).fetchAuditKeys()
  const logKeys = keys.map(formatVerifierKey)
  await stop(first)

  const names = ['witness.example/w1', 'witness.example/w2']
  const witnesses = []
  for (const name of names) witnesses.push(await startHere(await makeFolder(), logKeys, { name }))
  const settings = witnesses.map(({ vkey, url }) => `${vkey}@${url}`)
  const service = spawnService(folder, { QFLARE_WITNESSES: settings.join(',') })
  const url = await service.ready()
  const witnessKeys = witnesses.map(({ vkey }) => parseVerifierKey(crypto, vkey))
  const policy = { log: keys, witnesses: witnessKeys }
  const cosigners = (note: string) => verifyCheckpoint(crypto, note, policy).cosignatures.map(({ by }) => by.name)

  const auditor = openAuditor({ url, apiToken: await readAdminToken(folder) })
  const getWitnessed = () => auditor.getCheckpoint({ witnessed: true }).catch(() => undefined)
  const deadline = performance.now() + 30_000
  let witnessed = await getWitnessed()
  while ((witnessed === undefined || cosigners(witnessed).length < 2) && performance.now() < deadline) {
    await sleep(200)
    witnessed = await getWitnessed()
  }
  expect(cosigners(witnessed ?? '').toSorted()).toEqual(names)

  const [item] = (await auditor.listEvents({ order: 'oldest', limit: 1 })).items
  const { index, event } = item as NonNullable<typeof item>
  const proof = await auditor.getEventProof(event.id)
  const verified = verifyTlogProof(crypto, proof, new TextEncoder().encode(canonicalJson(event)), policy)
  expect(verified.index).toBe(index)
  expect(verified.checkpoint.cosignatures.map(({ by }) => by.name).toSorted()).toEqual(names)

  // The log goes on, and so do they.
  const before = verifyCheckpoint(crypto, witnessed ?? '', policy).size
  const token = await readAdminToken(folder)
  await call({ url }, 'POST', '/v1/enrollment-tokens', { token, body: { kind: 'device' } })
  for (;;) {
    const newer = verifyCheckpoint(crypto, await auditor.getCheckpoint({ witnessed: true }), policy)
    if (newer.size > before && newer.cosignatures.length === 2) break
    expect(performance.now()).toBeLessThan(deadline + 30_000)
    await sleep(200)
  }
  await stop(service)
})
