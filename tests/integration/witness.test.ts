import { mkdir, open, readdir, readFile, rmdir } from 'node:fs/promises'
import { describe, expect, it, vi } from 'vitest'
import { toBase64Padded } from '../../protocol/encoding.ts'
import { checkpointBody } from '../../protocol/log/checkpoint.ts'
import { formatNote, parseNote } from '../../protocol/log/signed-note.ts'
import { cosign, makeLog, makeSigner, signWith87 } from '../support/test-log.ts'
import { ask, cosignatureOf, crypto, keepLog, makeFolder, post, startHere, WITNESS } from '../support/witness.ts'

const log = makeLog(crypto, 'log.example/audit')
const signer = log.signer

/** The body of a request, made by hand. */
function request(oldSize: number, checkpoint: string, proof: readonly Uint8Array[] = []): string {
  return [`old ${oldSize}`, ...proof.map(toBase64Padded), '', checkpoint].join('\n')
}

async function startFollowing(vkeys: readonly string[] = [signer.vkey]) {
  return startHere(await makeFolder(), vkeys)
}

describe('a witness', () => {
  it('cosigns a log from its first checkpoint on as it grows, each as of now', async () => {
    const { url, vkey } = await startFollowing()
    const before = Math.floor(Date.now() / 1000) * 1000
    let from = 0
    for (const to of [1, 2, 3, 7, 8, 9, 64, 100]) {
      const answer = await ask(url, log, from, to)
      expect(answer).toMatchObject({ status: 200, contentType: 'text/plain; charset=utf-8' })
      const { at } = cosignatureOf(answer, vkey, log, to)
      expect(at).toBeGreaterThanOrEqual(before)
      expect(at).toBeLessThanOrEqual(Date.now())
      from = to
    }
  })

  it('says what it is and its key in one line', async () => {
    const { url, vkey } = await startFollowing()
    const response = await fetch(url)
    const text = await response.text()
    expect(response.status).toBe(200)
    expect(text).toBe(`QFLARE witness (c2sp.org/tlog-witness), verifier key ${vkey}\n`)
    expect(vkey).toMatch(new RegExp(`^${WITNESS}\\+[0-9a-f]{8}\\+B`))
  })

  it('cosigns the same checkpoint again, at another time with another time', async () => {
    let now = Date.parse('2026-11-22T06:40:00Z')
    const { url, vkey } = await startHere(await makeFolder(), [signer.vkey], { now: () => now })
    const first = cosignatureOf(await ask(url, log, 0, 5), vkey, log, 5)
    now += 10_000
    const second = cosignatureOf(await ask(url, log, 5, 5), vkey, log, 5)
    expect([first.at, second.at]).toEqual([now - 10_000, now])
  })

  it('cosigns an empty tree, and goes on from it', async () => {
    const { url, vkey } = await startFollowing()
    cosignatureOf(await ask(url, log, 0, 0), vkey, log, 0)
    cosignatureOf(await ask(url, log, 0, 3), vkey, log, 3)
  })

  it('answers 404 for the checkpoint of a log that it does not follow', async () => {
    const { url } = await startFollowing()
    const other = makeLog(crypto, 'other.example/audit')
    expect(await ask(url, other, 0, 1)).toMatchObject({ status: 404 })
  })

  it('answers 403 where no key of the log signed, and to a signature that is not valid', async () => {
    const { url } = await startFollowing()
    const impostor = makeLog(crypto, log.origin, { signer: makeSigner(crypto, log.origin) })
    expect(await ask(url, impostor, 0, 1)).toMatchObject({ status: 403 })
    const forged = formatNote(checkpointBody(log.head(2)), [cosign(signer, log.head(1), 1)])
    expect(await post(url, request(0, forged))).toMatchObject({ status: 403 })
    expect(await post(url, request(0, log.checkpoint(1, [cosign(signer, log.head(2), 1)])))).toMatchObject({
      status: 403,
    })
    expect(await ask(url, log, 0, 1)).toMatchObject({ status: 200 })
  })

  it('ignores signatures of keys that it does not know', async () => {
    const { url, vkey } = await startFollowing()
    const others = Array.from({ length: 16 }, (_, n) => cosign(makeSigner(crypto, `w${n}`), log.head(3), 1))
    const answer = await post(url, request(0, log.checkpoint(3, others)))
    cosignatureOf(answer, vkey, log, 3)
  })

  it('takes any of several keys of a log, so that it can be replaced', async () => {
    const next = makeLog(crypto, log.origin, { signer: makeSigner(crypto, log.origin) })
    const { url, vkey } = await startFollowing([signer.vkey, next.signer.vkey])
    cosignatureOf(await ask(url, log, 0, 4), vkey, log, 4)
    cosignatureOf(await ask(url, next, 4, 6), vkey, next, 6)
  })

  it('wants both algorithms of a log for which it has keys of both', async () => {
    const head = log.head(2)
    const { line, vkey: vkey87 } = signWith87(crypto, head)
    const { url } = await startFollowing([signer.vkey, vkey87])
    expect(await post(url, request(0, log.checkpoint(2)))).toMatchObject({ status: 403 })
    expect(await post(url, request(0, log.checkpoint(2, [line])))).toMatchObject({ status: 200 })
  })

  it('answers 409 with the size that it holds to any other old size', async () => {
    const { url } = await startFollowing()
    await ask(url, log, 0, 5)
    for (const [from, to] of [
      [0, 5],
      [0, 9],
      [4, 5],
      [6, 9],
      [3, 4],
      [0, 0],
    ] as const) {
      expect(await ask(url, log, from, to)).toEqual({ status: 409, contentType: 'text/x.tlog.size', body: '5\n' })
    }
  })

  it('answers 409 to a second tree of one size, and keeps the proof of it', async () => {
    const { logger, lines } = keepLog()
    const folder = await makeFolder()
    const { url, vkey } = await startHere(folder, [signer.vkey], { logger })
    const fork = makeLog(crypto, log.origin, { signer, fork: { name: 'x', at: 3 } })
    await ask(url, log, 0, 5)
    for (let round = 0; round < 2; round++) {
      expect(await ask(url, fork, 5, 5)).toEqual({ status: 409, contentType: 'text/x.tlog.size', body: '5\n' })
    }
    expect(lines.filter(({ level }) => level === 'error').map(({ message }) => message)).toEqual([
      expect.stringContaining('log.example/audit signed two trees of size 5'),
    ])
    const kept = await readConflict(folder)
    expect(kept.map((note) => parseNote(note).body)).toEqual([log, fork].map((tree) => checkpointBody(tree.head(5))))
    cosignatureOf(await ask(url, log, 5, 6), vkey, log, 6)
  })

  it('keeps the proof of a second tree of one size whatever the old size of the request is', async () => {
    const fork = makeLog(crypto, log.origin, { signer, fork: { name: 'x', at: 3 } })
    for (const oldSize of [0, 4]) {
      const folder = await makeFolder()
      const { url } = await startHere(folder, [signer.vkey])
      await ask(url, log, 0, 5)
      expect(await ask(url, fork, oldSize, 5)).toEqual({
        status: 409,
        contentType: 'text/x.tlog.size',
        body: '5\n',
      })
      const kept = await readConflict(folder)
      expect(kept.map((note) => parseNote(note).body)).toEqual([log, fork].map((tree) => checkpointBody(tree.head(5))))
    }
  })

  it('answers 422 to a proof that does not show that the tree only grew, and stays where it was', async () => {
    const { url, vkey } = await startFollowing()
    const fork = makeLog(crypto, log.origin, { signer, fork: { name: 'x', at: 3 } })
    const proof = log.prove(5, 9)
    await ask(url, log, 0, 5)
    const wrong = [[], proof.slice(1), proof.slice(0, -1), [...proof, ...proof.slice(-1)], proof.toReversed()]
    for (const hashes of wrong) {
      expect(await post(url, request(5, log.checkpoint(9), hashes))).toMatchObject({ status: 422 })
    }
    expect(await ask(url, fork, 5, 9)).toMatchObject({ status: 422 })
    expect(await post(url, request(5, log.checkpoint(5), proof))).toMatchObject({ status: 422 })
    cosignatureOf(await ask(url, log, 5, 9), vkey, log, 9)
  })

  it('answers 422 to a proof from an empty tree, which needs none', async () => {
    const { url } = await startFollowing()
    expect(await post(url, request(0, log.checkpoint(4), log.prove(2, 4)))).toMatchObject({ status: 422 })
  })

  it('answers 400 to an old size that is larger than the checkpoint, and to what is no request', async () => {
    const { url } = await startFollowing()
    await ask(url, log, 0, 5)
    expect(await ask(url, log, 5, 4)).toMatchObject({ status: 400 })
    const extended = formatNote(`${checkpointBody(log.head(1))}extension\n`, [cosign(signer, log.head(1), 1)])
    for (const body of [
      '',
      'old 5',
      request(5, 'no note'),
      request(5, extended),
      `old 5\r\n\r\n${log.checkpoint(6)}`,
    ]) {
      expect(await post(url, body), JSON.stringify(body)).toMatchObject({ status: 400 })
    }
    expect(await post(url, Uint8Array.of(0x6f, 0x6c, 0x64, 0xff))).toMatchObject({ status: 400 })
  })

  it('takes a checkpoint of 256 KiB at most, and reads no more', async () => {
    const { url } = await startFollowing()
    expect(await post(url, `old 0\n\n${'x'.repeat(300 << 10)}`)).toMatchObject({ status: 413 })
    expect(await ask(url, log, 0, 1)).toMatchObject({ status: 200 })
  })

  it('has no other path and no other method', async () => {
    const { url } = await startFollowing()
    const statusOf = async (path: string, method: string) => (await fetch(`${url}${path}`, { method })).status
    expect(await statusOf('/add-checkpoint', 'GET')).toBe(405)
    expect(await statusOf('/', 'POST')).toBe(405)
    expect(await statusOf('/add-checkpoint/', 'POST')).toBe(404)
    expect(await statusOf('/metrics', 'GET')).toBe(404)
  })

  it('never gives a time before one that it gave, wherever its clock is set', async () => {
    const folder = await makeFolder()
    const start = Date.parse('2026-11-22T06:40:00Z')
    let now = start
    const options = { now: () => now }
    const first = await startHere(folder, [signer.vkey], options)
    await ask(first.url, log, 0, 3)
    now = start - 3_600_000
    expect(cosignatureOf(await ask(first.url, log, 3, 4), first.vkey, log, 4).at).toBe(start)
    expect(cosignatureOf(await ask(first.url, log, 4, 4), first.vkey, log, 4).at).toBe(start)
    await first.close()
    const second = await startHere(folder, [signer.vkey], options)
    expect(cosignatureOf(await ask(second.url, log, 4, 5), second.vkey, log, 5).at).toBe(start)
    now = start + 1_000
    expect(cosignatureOf(await ask(second.url, log, 5, 6), second.vkey, log, 6).at).toBe(now)
  })
})

describe('what a witness cosigned', () => {
  it('is on the disk, with its name, before the cosignature is made', async () => {
    const { url } = await startFollowing()
    const handle = await open('/dev/null')
    const prototype = Object.getPrototypeOf(handle) as { sync(): Promise<void> }
    await handle.close()
    const sync = vi.spyOn(prototype, 'sync')
    try {
      await ask(url, log, 0, 3)
      expect(sync).toHaveBeenCalledTimes(2)
      await ask(url, log, 3, 4)
      expect(sync).toHaveBeenCalledTimes(4)
    } finally {
      sync.mockRestore()
    }
  })

  it('is not cosigned when the disk does not take it', async () => {
    const folder = await makeFolder()
    const { logger, lines } = keepLog()
    const { url, vkey } = await startHere(folder, [signer.vkey], { logger })
    await ask(url, log, 0, 3)
    const [name = ''] = (await readdir(folder)).filter((file) => file.endsWith('.state'))
    await mkdir(`${folder}/${name}.draft`)
    expect(await ask(url, log, 3, 4)).toMatchObject({ status: 500 })
    expect(lines.filter(({ level }) => level === 'error')).toHaveLength(1)
    await rmdir(`${folder}/${name}.draft`)
    cosignatureOf(await ask(url, log, 3, 5), vkey, log, 5)
  })
})

async function readConflict(folder: string): Promise<string[]> {
  const [name = ''] = (await readdir(folder)).filter((file) => file.endsWith('.conflict'))
  const text = await readFile(`${folder}/${name}`, 'utf8')
  return text.split(/\n\n(?=log\.example)/).map((note, index) => (index === 0 ? `${note}\n` : note))
}
