import { describe, expect, it } from 'vitest'
import { roundContext } from '../../../client/round-context.ts'
import { BUCKET_MS, GRACE_MS } from '../../../protocol/exchange/bucket.ts'
import { communicationKey, ratchet } from '../../../protocol/exchange/epochs.ts'
import { choosePrimitives } from '../../../protocol/primitives/choose.ts'
import { refusal } from './fake-answer.ts'
import { codeOf, enrolledDevice, firstBucket } from './setup.ts'

const crypto = await choosePrimitives()
const federationId = '0197b2f0-0000-7000-8000-0000000000fe'
const asked = `GET /v1/federations/${federationId}/rounds/7/membership`
const told = `POST /v1/federations/${federationId}/rounds/7/membership`

/** A device with a session, and a server that says `membership` of it. */
async function member(membership: object = {}) {
  const setup = await enrolledDevice()
  const { session } = await setup.device.exchange()
  const sessionId = session?.sessionId ?? ''
  const said = { sessionId, epoch: firstBucket, ...membership }
  setup.server.tamper = (line, answer) => {
    if (line === asked) return { status: 200, json: said }
    return line === told ? { status: 204, json: undefined } : answer
  }
  const expected = (epoch: number) => {
    let chain = setup.server.sessions.get(sessionId)?.chain as Uint8Array
    for (let at = firstBucket; at < epoch; at++) chain = ratchet(crypto, chain, at)
    const context = roundContext(federationId, 7)
    return Uint8Array.from(communicationKey(crypto, chain, { sessionId, epoch, purpose: 'round', context }))
  }
  return { ...setup, sessionId, said, expected, roundKey: () => setup.device.roundKey(federationId, 7) }
}

describe('a device', () => {
  it('derives its key of a round by itself, of the epoch that the coordinator has it for', async () => {
    const { roundKey, sessionId, expected, pass, said } = await member()
    expect(await roundKey()).toEqual({ sessionId, epoch: firstBucket, key: expected(firstBucket) })
    pass(BUCKET_MS - 60_000)
    expect((await roundKey()).key, 'the epoch before, in its grace').toEqual(expected(firstBucket))
    said.epoch += 1
    expect((await roundKey()).key, 'a newer one').toEqual(expected(firstBucket + 1))
  })

  it('whose epoch is over says so to the server, derives nothing, and has a key again of the newest', async () => {
    const { roundKey, expected, pass, said, server, device, sessionId } = await member()
    pass(BUCKET_MS - 60_000 + GRACE_MS)
    server.lose.push(told)
    const refused = roundKey()
    await expect(refused).rejects.toMatchObject({
      code: 'epoch_gone',
      message: expect.stringContaining('told the server'),
    })
    expect(server.count(told), 'told until it is heard').toBe(2)
    expect(server.requests.at(-1)).toMatchObject({
      line: told,
      body: { status: 'epoch_gone', epoch: firstBucket, sessionId },
    })
    said.epoch += 1
    expect((await roundKey()).key).toEqual(expected(firstBucket + 1))
    expect((await device.status()).session?.epoch).toBe(firstBucket + 1)
  })

  it('says the same of a session that is not its own any more, and never derives a key for it', async () => {
    const { roundKey, device, server, said } = await member()
    await device.exchange()
    expect(await codeOf(roundKey())).toBe('epoch_gone')
    said.sessionId = '0197b2f0-0002-7c3a-9d44-000000000009'
    expect(await codeOf(roundKey())).toBe('epoch_gone')
    expect(server.count(told)).toBe(2)
  })

  it('whose clock is behind ratchets ahead to the epoch that it is told, and keeps the older chains', async () => {
    const { roundKey, expected, clock, said, device } = await member({ epoch: firstBucket + 2 })
    expect((await roundKey()).key).toEqual(expected(firstBucket + 2))
    expect((await device.status()).session?.epoch).toBe(firstBucket)
    said.epoch = firstBucket
    clock.now += 1
    expect((await roundKey()).key).toEqual(expected(firstBucket))
  })

  it('tells nobody of an epoch after the end of its session: it has not lost it', async () => {
    const { roundKey, server, said } = await member({ epoch: firstBucket + 12 })
    expect((await roundKey()).epoch, 'the last one of an hour').toBe(firstBucket + 12)
    said.epoch += 1
    expect(await codeOf(roundKey())).toBe('epoch_gone')
    said.epoch = 2 ** 50
    expect(await codeOf(roundKey())).toBe('epoch_gone')
    expect(server.count(told)).toBe(0)
  })

  it('asks again when the answer was lost, and hears what the server refuses', async () => {
    const { roundKey, server } = await member()
    server.lose.push(asked, asked)
    expect((await roundKey()).epoch).toBe(firstBucket)
    server.tamper = (line, answer) => (line === asked ? refusal(404, 'not_found') : answer)
    expect(await codeOf(roundKey())).toBe('not_found')
  })

  it('takes no answer of another shape, and asks nothing with what is no round', async () => {
    expect(await codeOf((await member({ key: 'take this one' })).roundKey())).toBe('bad_answer')
    const { device, server } = await member()
    const before = server.requests.length
    expect(await codeOf(device.roundKey('edge', 7))).toBe('input_invalid')
    expect(await codeOf(device.roundKey(federationId, 7.5))).toBe('input_invalid')
    expect(server.requests.length).toBe(before)
  })
})
