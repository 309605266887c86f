import { once } from 'node:events'
import { readdir, writeFile } from 'node:fs/promises'
import { type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { formatWitnessRequest } from '../../protocol/log/witness-request.ts'
import { makeLog } from '../support/test-log.ts'
import { ask, cosignatureOf, crypto, makeFolder, spawnWitness } from '../support/witness.ts'

const log = makeLog(crypto, 'log.example/audit')
const vkeys = [log.signer.vkey]

describe('requests at once to a witness that is a process', () => {
  it('from one old size: exactly one is cosigned, and the others learn its size', async () => {
    const { url, vkey } = await spawnWitness(await makeFolder(), vkeys)
    let held = 0
    for (let round = 0; round < 20; round++) {
      const sizes = [held + 1, held + 2, held + 3, held + 4]
      const answers = await Promise.all(sizes.map((size) => ask(url, log, held, size)))
      const winners = sizes.filter((_, index) => answers[index]?.status === 200)
      expect(winners).toHaveLength(1)
      const [won = 0] = winners
      cosignatureOf(answers.find(({ status }) => status === 200) ?? fail(), vkey, log, won)
      const losers = answers.filter(({ status }) => status !== 200)
      expect(losers).toEqual(losers.map(() => ({ status: 409, contentType: 'text/x.tlog.size', body: `${won}\n` })))
      held = won
    }
  })

  it('for N and for N + K: the tree is never rolled back', async () => {
    const { url, vkey } = await spawnWitness(await makeFolder(), vkeys)
    let held = 0
    for (let round = 0; round < 30; round++) {
      const [near, far] = [held + 1, held + 5]
      const order = round % 2 === 0 ? [near, far] : [far, near]
      const answers = await Promise.all(order.map((size) => ask(url, log, held, size)))
      const cosigned = order.filter((_, index) => answers[index]?.status === 200)
      for (const [index, size] of order.entries()) {
        const answer = answers[index] ?? fail()
        if (answer.status === 200) cosignatureOf(answer, vkey, log, size)
      }
      held = Math.max(...cosigned)
      const { status, body } = await ask(url, log, held + 1, held + 2)
      expect({ status, body }).toEqual({ status: 409, body: `${held}\n` })
    }
  })

  it('of two trees of one size: only one is ever cosigned', async () => {
    const { url } = await spawnWitness(await makeFolder(), vkeys)
    const fork = makeLog(crypto, log.origin, { signer: log.signer, fork: { name: 'x', at: 0 } })
    const answers = await Promise.all([log, fork, log, fork].map((tree) => ask(url, tree, 0, 7)))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    const isLog = answers[0]?.status === 200 || answers[2]?.status === 200
    const [winner, loser] = isLog ? [log, fork] : [fork, log]
    expect(await ask(url, winner, 7, 7)).toMatchObject({ status: 200 })
    expect(await ask(url, loser, 7, 7)).toMatchObject({ status: 409 })
    expect(await ask(url, loser, 7, 9)).toMatchObject({ status: 422 })
  })
})

describe('a witness that is killed', () => {
  it('has never given a cosignature of a state that it lost', { timeout: 120_000 }, async () => {
    const folder = await makeFolder()
    /** The largest that was answered with a cosignature, and all that were asked for. */
    let [cosigned, asked] = [0, 0]
    for (let round = 0; round < 12; round++) {
      const { url, vkey, kill } = await spawnWitness(folder, vkeys)
      const { status, body } = await ask(url, log, asked + 1, asked + 2)
      expect(status).toBe(409)
      let held = Number(body)
      expect(held).toBeGreaterThanOrEqual(cosigned)
      expect(held).toBeLessThanOrEqual(asked)

      // In turn: as soon as an answer is there, and at any moment, while one request follows the other.
      const isAtOnce = round % 2 === 0
      const killed = isAtOnce ? undefined : sleep(Math.random() * 40).then(() => kill('SIGKILL'))
      const requests = isAtOnce ? 1 : 200
      for (let n = 0; n < requests; n++) {
        asked = Math.max(asked, held + 1)
        const answer = await ask(url, log, held, held + 1).catch(() => undefined)
        if (isAtOnce) await kill('SIGKILL')
        if (answer === undefined) break
        cosignatureOf(answer, vkey, log, held + 1)
        held += 1
        cosigned = held
      }
      expect(await (killed ?? kill('SIGKILL'))).toBe('SIGKILL')
    }
    expect(cosigned).toBeGreaterThan(6)
  })

  it('leaves no lock behind, and no half of a file in the way', async () => {
    const folder = await makeFolder()
    const first = await spawnWitness(folder, vkeys)
    await ask(first.url, log, 0, 3)
    await first.kill('SIGKILL')
    const [name = ''] = (await readdir(folder)).filter((file) => file.endsWith('.state'))
    await writeFile(`${folder}/${name}.draft`, 'qflare-witness-st')
    const second = await spawnWitness(folder, vkeys)
    expect(second.vkey).toBe(first.vkey)
    cosignatureOf(await ask(second.url, log, 3, 4), first.vkey, log, 4)
  })

  it('ends with 0 at SIGTERM, after what was under way is answered', async () => {
    const { url, vkey, kill } = await spawnWitness(await makeFolder(), vkeys)
    await ask(url, log, 0, 1)
    const body = Buffer.from(
      formatWitnessRequest({ oldSize: 1, proof: log.prove(1, 2), checkpoint: log.checkpoint(2) }),
    )
    const req = request(`${url}/add-checkpoint`, { method: 'POST', headers: { 'content-length': body.length } })
    const answered = once(req, 'response') as Promise<[IncomingMessage]>
    req.write(body.subarray(0, 100))
    await sleep(300)
    const ended = kill('SIGTERM')
    await sleep(300)
    req.end(body.subarray(100))
    const [res] = await answered
    const answer = { status: res.statusCode ?? 0, contentType: '', body: await text(res) }
    cosignatureOf(answer, vkey, log, 2)
    expect(await ended).toBe(0)
  })
})

function fail(): never {
  throw new Error('no answer')
}
