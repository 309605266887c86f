import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { parseVerifierKey } from '../../protocol/log/verifier-key.ts'
import type { WitnessAddress } from '../../workers/sequencer/ask-witness.ts'
import { type CosignatureCollector, collectCosignatures } from '../../workers/sequencer/collect-cosignatures.ts'
import { cosign, makeLog, makeSigner } from '../support/test-log.ts'
import { ask, cosignatureOf, crypto, keepLog, makeFolder, post, startHere, WITNESS } from '../support/witness.ts'

const log = makeLog(crypto, 'log.example/audit')
const within = { timeout: 15_000, interval: 20 }

interface Stored {
  size: number
  witness: string
  line: string
}

/** A log of which the test says how far it is, and what was stored of it. */
function collect(
  witnesses: WitnessAddress[],
  options: { size?: number; withCosignatures?: boolean; failures?: number } = {},
) {
  const stored: Stored[] = []
  let { failures = 0 } = options
  const { logger, lines } = keepLog()
  const state = { size: options.size }
  const collector: CosignatureCollector = collectCosignatures({
    crypto,
    witnesses,
    async newestCheckpoint() {
      if (state.size === undefined) return undefined
      const others = options.withCosignatures === true ? stored.map(({ line }) => line) : []
      return { size: state.size, text: log.checkpoint(state.size, others) }
    },
    proveConsistency: async (from, to) => log.prove(from, to),
    async store({ size }, { key }, line) {
      if (failures-- > 0) throw new Error('the database is away')
      stored.push({ size, witness: key.name, line })
    },
    logger,
  })
  onTestFinished(() => collector.close())
  const messages = (level: string) => lines.filter((line) => line.level === level).map(({ message }) => message)
  return { collector, state, stored, messages }
}

function address(url: string, vkey: string): WitnessAddress {
  return { url, key: parseVerifierKey(crypto, vkey) }
}

/** Something else than a witness in its place, and when it was asked. */
async function serve(answer: RequestListener): Promise<{ url: string; askedAt: number[] }> {
  const askedAt: number[] = []
  const server = createServer((req, res) => {
    askedAt.push(performance.now())
    answer(req, res)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, askedAt }
}

/** Passes on to a witness what it is asked. */
function relay(url: string) {
  return serve((req, res) => {
    const chunks: Buffer[] = []
    req.on('data', (chunk: Buffer) => chunks.push(chunk))
    req.on('end', () => {
      void post(url, Buffer.concat(chunks)).then(({ status, contentType, body }) =>
        res.writeHead(status, { 'content-type': contentType ?? '' }).end(body),
      )
    })
  })
}

describe('the collector of cosignatures', () => {
  it('has each new checkpoint cosigned by every witness, once, a second apart at least', async () => {
    const witnesses = await Promise.all(
      ['a.example/w', 'b.example/w'].map(async (name) => startHere(await makeFolder(), [log.signer.vkey], { name })),
    )
    const relays = await Promise.all(witnesses.map(({ url }) => relay(url)))
    const addresses = witnesses.map(({ vkey }, index) => address(relays[index]?.url ?? '', vkey))
    const { state, stored, messages } = collect(addresses, { withCosignatures: true })
    for (const [index, size] of [3, 8].entries()) {
      state.size = size
      await vi.waitFor(() => expect(stored).toHaveLength(2 * (index + 1)), within)
    }
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    expect(stored.map(({ size, witness }) => `${size} ${witness}`).toSorted()).toEqual([
      '3 a.example/w',
      '3 b.example/w',
      '8 a.example/w',
      '8 b.example/w',
    ])
    for (const { size, witness, line } of stored) {
      const vkey = witnesses[witness.startsWith('a') ? 0 : 1]?.vkey ?? ''
      cosignatureOf({ status: 200, contentType: '', body: `${line}\n` }, vkey, log, size)
    }
    for (const { askedAt } of relays) {
      expect(askedAt).toHaveLength(2)
      expect((askedAt[1] ?? 0) - (askedAt[0] ?? 0)).toBeGreaterThan(990)
    }
    expect(messages('info').toSorted()).toEqual(['witness a.example/w cosigns', 'witness b.example/w cosigns'])
  })

  it('goes on with a witness that holds some of the log already', async () => {
    const { url, vkey } = await startHere(await makeFolder(), [log.signer.vkey])
    await ask(url, log, 0, 4)
    const through = await relay(url)
    const { stored, messages } = collect([address(through.url, vkey)], { size: 9 })
    await vi.waitFor(() => expect(stored).toHaveLength(1), within)
    expect(through.askedAt).toHaveLength(2)
    expect((through.askedAt[1] ?? 0) - (through.askedAt[0] ?? 0)).toBeGreaterThan(990)
    expect(messages('warn')).toEqual([])
  })

  it('is held up by no witness that is down, and finds it when it is back', async () => {
    const folder = await makeFolder()
    const gone = await startHere(folder, [log.signer.vkey], { name: 'b.example/w' })
    await gone.close()
    const up = await startHere(await makeFolder(), [log.signer.vkey])
    const { state, stored, messages } = collect([address(gone.url, gone.vkey), address(up.url, up.vkey)])
    state.size = 3
    await vi.waitFor(() => expect(stored).toHaveLength(1), within)
    state.size = 5
    await vi.waitFor(() => expect(stored).toHaveLength(2), within)
    expect(messages('warn')).toEqual([
      expect.stringMatching(/^witness b\.example\/w gives no cosignature: .*ECONNREFUSED/),
    ])
    await startHere(folder, [log.signer.vkey], { name: 'b.example/w', port: Number(new URL(gone.url).port) })
    await vi.waitFor(() => expect(stored.map(({ witness }) => witness)).toContain('b.example/w'), {
      ...within,
      timeout: 30_000,
    })
    expect(messages('warn')).toHaveLength(1)
    expect(messages('info').toSorted()).toEqual(['witness b.example/w cosigns', `witness ${WITNESS} cosigns`])
  })

  const liar = makeSigner(crypto, WITNESS)
  const other = makeSigner(crypto, WITNESS)
  it.each<[string, RequestListener, RegExp]>([
    ['cosigns another tree', (_, res) => res.end(`${cosign(liar, log.head(4), 1_800_000_000)}\n`), /does not verify/],
    ['cosigns another log', (_, res) => res.end(`${cosign(liar, { ...log.head(3), origin: 'x' }, 1)}\n`), /not verify/],
    ['signs with another key', (_, res) => res.end(`${cosign(other, log.head(3), 1)}\n`), /did not sign with its key/],
    ['cosigns without a time', (_, res) => res.end(`${cosign(liar, log.head(3), 0)}\n`), /has no time/],
    ['answers something else', (_, res) => res.end('<html>fine</html>\n'), /not one/],
    ['answers nothing', (_, res) => res.end(), /newline/],
    ['answers without end', (_, res) => void res.write(`${'x'.repeat(70_000)}`), /longer than 65536 bytes/],
    ['sends elsewhere', (_, res) => res.writeHead(307, { location: 'http://127.0.0.1:1/' }).end(), /redirect/],
    [
      'says no size',
      (_, res) => res.writeHead(409, { 'content-type': 'text/x.tlog.size' }).end('many\n'),
      /409 without/,
    ],
    ['says a size as text', (_, res) => res.writeHead(409, { 'content-type': 'text/plain' }).end('2\n'), /409 without/],
    ['fails', (_, res) => res.writeHead(500).end('oh'), /it answered 500/],
    ['breaks off', (req) => req.socket.destroy(), /fetch failed/],
  ])('stores nothing of a witness that %s', async (_, answer, reason) => {
    const { url } = await serve(answer)
    const { collector, stored, messages } = collect([address(url, liar.vkey)], { size: 3 })
    await vi.waitFor(() => expect(messages('warn')).toEqual([expect.stringMatching(reason)]), within)
    await collector.close()
    expect(stored).toEqual([])
    expect(collector.alarms()).toEqual([])
  })

  it('says once that a witness fails, however often it is asked', async () => {
    const { url, askedAt } = await serve((_, res) => res.writeHead(500).end())
    const { collector, messages } = collect([address(url, liar.vkey)], { size: 3 })
    await vi.waitFor(() => expect(askedAt).toHaveLength(3), within)
    await collector.close()
    expect(messages('warn')).toHaveLength(1)
    for (const [index, at] of askedAt.entries()) expect(at - (askedAt[index - 1] ?? 0)).toBeGreaterThan(990)
  })

  it('asks for another cosignature when it could not store one', async () => {
    const { url, vkey } = await startHere(await makeFolder(), [log.signer.vkey])
    const { stored, messages } = collect([address(url, vkey)], { size: 3, failures: 1 })
    await vi.waitFor(() => expect(stored).toHaveLength(1), within)
    expect(messages('warn')).toEqual([`witness ${WITNESS} gives no cosignature: the database is away`])
    cosignatureOf({ status: 200, contentType: '', body: `${stored[0]?.line}\n` }, vkey, log, 3)
  })

  it('takes the line of its key among others', async () => {
    const lines = [cosign(other, log.head(3), 5), cosign(liar, log.head(3), 7), '']
    const { url } = await serve((_, res) => res.end(lines.join('\n')))
    const { stored } = collect([address(url, liar.vkey)], { size: 3 })
    await vi.waitFor(() => expect(stored).toEqual([{ size: 3, witness: WITNESS, line: lines[1] }]), within)
  })

  it('ends at once, in the middle of a request and of a pause', async () => {
    const { url, askedAt } = await serve(() => {})
    const { collector } = collect([address(url, liar.vkey), address('http://127.0.0.1:1', other.vkey)], { size: 3 })
    await vi.waitFor(() => expect(askedAt).toHaveLength(1), within)
    const before = performance.now()
    await collector.close()
    expect(performance.now() - before).toBeLessThan(500)
  })
})

describe('a witness that holds another log raises an alarm, said once, until it cosigns', () => {
  const fork = makeLog(crypto, log.origin, { signer: log.signer, fork: { name: 'x', at: 2 } })

  it('a longer one: ours was taken back', async () => {
    const { url, vkey } = await startHere(await makeFolder(), [log.signer.vkey])
    await ask(url, log, 0, 9)
    const { collector, state, stored, messages } = collect([address(url, vkey)], { size: 4 })
    await vi.waitFor(() => expect(collector.alarms()).toHaveLength(1), within)
    const [alarm] = collector.alarms()
    expect(alarm).toEqual({ witness: WITNESS, reason: 'it holds 9 entries, we have 4' })
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    expect(messages('error')).toEqual([`witness ${WITNESS} holds another log: it holds 9 entries, we have 4`])
    expect(stored).toEqual([])
    state.size = 10
    await vi.waitFor(() => expect(stored).toHaveLength(1), within)
    expect(collector.alarms()).toEqual([])
  })

  it('another one of the same size', async () => {
    const { url, vkey } = await startHere(await makeFolder(), [log.signer.vkey])
    await ask(url, fork, 0, 5)
    const { collector, stored } = collect([address(url, vkey)], { size: 5 })
    const alarms = [{ witness: WITNESS, reason: 'it holds another tree of 5 entries' }]
    await vi.waitFor(() => expect(collector.alarms()).toEqual(alarms), within)
    expect(stored).toEqual([])
  })

  it('another one that is shorter', async () => {
    const { url, vkey } = await startHere(await makeFolder(), [log.signer.vkey])
    await ask(url, fork, 0, 5)
    const { collector, stored } = collect([address(url, vkey)], { size: 8 })
    await vi.waitFor(() => expect(collector.alarms()).toHaveLength(1), within)
    expect(collector.alarms()[0]?.reason).toContain('the tree of 5 entries that it holds is not the beginning of ours')
    expect(stored).toEqual([])
  })

  it('and ours, when it becomes shorter while this runs', async () => {
    const { url, vkey } = await startHere(await makeFolder(), [log.signer.vkey])
    const { collector, state, stored } = collect([address(url, vkey)], { size: 6 })
    await vi.waitFor(() => expect(stored).toHaveLength(1), within)
    state.size = 5
    await vi.waitFor(() => expect(collector.alarms()).toHaveLength(1), within)
  })
})
