import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type * as qflare from '../../client/browser.ts'
import { hasChromium } from '../support/browser.ts'
import { bundleForPage, openBrowser, type PageServer, servePages } from '../support/client-pages.ts'
import { makeEntry, makeMemoryLog, makeSigner } from '../support/memory-log.ts'
import { native as crypto, flipBit } from '../support/protocol-providers.ts'

const SIZE = 1_000
const INDEX = 777

describe.skipIf(!hasChromium)('in a page without a network', () => {
  const signers = [makeSigner(crypto, 'cosignature'), makeSigner(crypto, 'mlDsa87')]
  const vkeys = signers.map(({ vkey }) => vkey)
  const log = makeMemoryLog(
    crypto,
    Array.from({ length: SIZE }, (_, index) => makeEntry(index)),
    signers,
  )
  let folder: string
  let pages: PageServer
  let browser: BrowserContext
  let page: Page

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'qflare-browser-'))
    pages = await servePages({
      '/': '<!doctype html><script type="module" src="page.js"></script>',
      '/page.js': "import * as qflare from './qflare.js'\nglobalThis.qflare = qflare",
      '/qflare.js': await bundleForPage('client/browser.ts'),
    })
    browser = await openBrowser(join(folder, 'profile'))
    page = await browser.newPage()
    await page.goto(pages.origin)
    await page.waitForFunction(() => 'qflare' in globalThis)
    await browser.setOffline(true)
    await pages.close()
  })
  afterAll(async () => {
    await browser?.close()
    await pages?.close()
    await rm(folder, { recursive: true, force: true })
  })

  /** What the page says of a proof: the index and the size of the tree, or the refusal. */
  function verifyProof(proof: string, event: unknown) {
    return page.evaluate(
      async ([text, json, lines]) => {
        const our = (globalThis as unknown as InPage).qflare
        const primitives = await our.choosePrimitives()
        const keys = { log: lines.map((line) => our.parseVerifierKey(primitives, line)) }
        const entry = new TextEncoder().encode(our.canonicalJson(JSON.parse(json) as qflare.Json))
        try {
          const { index, checkpoint } = our.verifyTlogProof(primitives, text, entry, keys)
          return {
            provider: primitives.provider,
            index,
            size: checkpoint.size,
            signatures: checkpoint.signatures.length,
          }
        } catch (error) {
          if (error instanceof our.ProtocolError) return { code: error.code, message: error.message }
          throw error
        }
      },
      [proof, JSON.stringify(event), vkeys] as const,
    )
  }

  function verifyExport(exported: readonly string[]) {
    return page.evaluate(
      async ([given, lines]) => {
        const our = (globalThis as unknown as InPage).qflare
        const primitives = await our.choosePrimitives()
        const keys = { log: lines.map((line) => our.parseVerifierKey(primitives, line)) }
        const verifier = our.createExportVerifier(primitives, keys)
        for (const line of given) verifier.push(line)
        const { events, problem } = verifier.finish()
        return { events, problem }
      },
      [exported, vkeys] as const,
    )
  }

  const event = JSON.parse(makeEntry(INDEX)) as Record<string, unknown>
  const proof = log.proofText(INDEX)

  test('the proof of an event verifies, by both keys of its log', async () => {
    expect(await verifyProof(proof, event)).toEqual({ provider: 'portable', index: INDEX, size: SIZE, signatures: 2 })
  })

  test('a proof with one other bit is refused: in a hash, in the root, in each of the signatures', async () => {
    const [head = '', body = '', notes = ''] = proof.split('\n\n')
    const [, , hash = ''] = head.split('\n')
    const root = body.split('\n').at(-1) ?? ''
    const [cosignature = '', strong = ''] = notes.split('\n').map((line) => line.split(' ').at(-1) ?? '')
    const turned = (base64: string, bit: number) =>
      proof.replace(base64, Buffer.from(flipBit(Buffer.from(base64, 'base64'), bit)).toString('base64'))
    const wrong = (alg: string) => `The signature of test.example/audit (${alg}) does not verify.`
    for (const [text, message] of [
      [turned(hash, 0), `Entry ${INDEX} is not what the tree of ${SIZE} holds.`],
      [turned(root, 255), wrong('ML-DSA-44')],
      [turned(cosignature, 12 * 8 + 1), wrong('ML-DSA-44')],
      [turned(strong, 20_000), wrong('ML-DSA-87')],
    ] as const) {
      expect(text).not.toBe(proof)
      expect(await verifyProof(text, event)).toEqual({ code: 'log_invalid', message })
    }
  })

  test('another event than the one that was logged is refused', async () => {
    expect(await verifyProof(proof, { ...event, at: 0 })).toEqual({
      code: 'log_invalid',
      message: `Entry ${INDEX} is not what the tree of ${SIZE} holds.`,
    })
  })

  test('an export verifies, and one with an altered event names it', async () => {
    const lines = log.exportLines({ from: 700, to: 900, size: SIZE })
    expect(await verifyExport(lines)).toEqual({ events: 200, problem: undefined })
    const altered = lines.with(78, (lines[78] ?? '').replace('"n":777', '"n":778'))
    expect((await verifyExport(altered)).problem).toEqual({
      index: INDEX,
      reason: `Entry ${INDEX} is not the one that was logged.`,
    })
  })
})

interface InPage {
  qflare: typeof qflare
}
