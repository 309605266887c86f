import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { buildPackage } from '../../scripts/build-package.ts'
import { createToken } from '../support/api.ts'
import { hasChromium } from '../support/browser.ts'
import { root } from '../support/built-package.ts'
import { bundleForPage, openBrowser, type PageServer, servePages } from '../support/client-pages.ts'
import { deviceStoreContract } from '../support/device-store-contract.ts'
import { startTestService, type TestService } from '../support/service.ts'
import type { storePage } from '../support/store-page.ts'

interface Shown {
  deviceId: string
  sessionId: string
  epoch: number
  fingerprint: string
}

describe.skipIf(!hasChromium)('in a browser', () => {
  let folder: string
  let pages: PageServer
  let foreign: PageServer
  let service: TestService
  let browser: BrowserContext

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'qflare-browser-'))
    const { bundle } = await buildPackage(join(folder, 'built'))
    const example = (name: string) => readFile(join(root, 'client/examples/browser', name), 'utf8')
    const files = {
      '/': await example('index.html'),
      '/page.js': await example('page.js'),
      '/qflare.js': await readFile(join(folder, 'built', bundle), 'utf8'),
      '/store': '<!doctype html><script type="module" src="store.js"></script>',
      '/store.js': await bundleForPage('tests/support/store-page.ts'),
    }
    pages = await servePages(files)
    foreign = await servePages(files)
    service = await startTestService({ isRealTime: true, corsOrigins: [pages.origin] })
    browser = await openBrowser(join(folder, 'profile'))
  })
  afterAll(async () => {
    await browser?.close()
    await service?.close()
    await pages?.close()
    await foreign?.close()
    await rm(folder, { recursive: true, force: true })
  })

  async function enroll(page: Page): Promise<void> {
    const { token } = await createToken(service)
    await page.fill('input[name=url]', service.url)
    await page.fill('input[name=token]', token)
    await page.click('button')
  }

  async function shownBy(page: Page): Promise<Shown> {
    const output = page.locator('output', { hasText: 'fingerprint' })
    return JSON.parse((await output.textContent()) ?? '')
  }

  async function expectServersKey({ sessionId, epoch, fingerprint }: Shown): Promise<void> {
    const key = await service.deriveKey({ sessionId, epoch, purpose: 'encryption' })
    expect(fingerprint).toBe(createHash('sha3-256').update(key).digest('hex').slice(0, 32))
  }

  test('the example page enrols, and is the same device with the server’s key after a reload, in another tab and after a restart', async () => {
    const page = await browser.newPage()
    const complaints: string[] = []
    page.on('pageerror', (error) => complaints.push(error.message))
    await page.goto(pages.origin)
    await enroll(page)
    const first = await shownBy(page)
    await expectServersKey(first)

    await page.reload()
    const reloaded = await shownBy(page)
    expect(reloaded).toMatchObject({ deviceId: first.deviceId, sessionId: first.sessionId })
    await expectServersKey(reloaded)

    const tab = await browser.newPage()
    await tab.goto(pages.origin)
    expect(await shownBy(tab)).toMatchObject({ deviceId: first.deviceId, sessionId: first.sessionId })
    expect(complaints).toEqual([])

    await browser.close()
    browser = await openBrowser(join(folder, 'profile'))
    const later = await browser.newPage()
    await later.goto(pages.origin)
    const restarted = await shownBy(later)
    expect(restarted).toMatchObject({ deviceId: first.deviceId, sessionId: first.sessionId })
    await expectServersKey(restarted)
  })

  test('a page of another origin cannot enrol, and its token stays good', async () => {
    const page = await browser.newPage()
    await page.goto(foreign.origin)
    const countChallenges = async () => (await service.database.sql.query('select from challenge')).rows.length
    const before = await countChallenges()
    await enroll(page)
    await page.locator('output', { hasText: /^network:/ }).waitFor()
    expect(await countChallenges()).toBe(before)
  })

  describe('the store in IndexedDB', () => {
    let one: Page
    let other: Page
    beforeAll(async () => {
      ;[one, other] = [await browser.newPage(), await browser.newPage()] as [Page, Page]
      for (const page of [one, other]) {
        await page.goto(`${pages.origin}/store`)
        await page.waitForFunction(() => 'storePage' in globalThis)
      }
    })

    test.each(Object.keys(deviceStoreContract))('%s', async (guarantee) => {
      await one.evaluate((name) => (globalThis as unknown as InPage).storePage.check(name), guarantee)
    })

    test('keeps every change of two tabs that write at the same time', async () => {
      const raise = (page: Page) =>
        page.evaluate(() => (globalThis as unknown as InPage).storePage.raise('two tabs', 20))
      await one.evaluate(() => (globalThis as unknown as InPage).storePage.begin('two tabs'))
      await Promise.all([raise(one), raise(other)])
      const read = await other.evaluate(() => (globalThis as unknown as InPage).storePage.read('two tabs'))
      expect(read).toEqual({ bucketFloor: 40, revision: 41 })
    })

    test('says so where the browser has no IndexedDB', async () => {
      const code = await one.evaluate(async () => {
        Object.defineProperty(globalThis, 'indexedDB', { value: undefined })
        return (globalThis as unknown as InPage).storePage.read('none').catch((error: { code: string }) => error.code)
      })
      expect(code).toBe('state_unusable')
    })
  })
})

interface InPage {
  storePage: typeof storePage
}
