import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hasChromium, launchChromium } from '../support/browser.ts'
import { startTestService, type TestService } from '../support/service.ts'

describe.skipIf(!hasChromium)('the page at /docs in a real browser', () => {
  let service: TestService
  let browser: Browser
  let page: Page
  const requested: string[] = []
  const complaints: string[] = []

  beforeAll(async () => {
    service = await startTestService()
    browser = await launchChromium()
    page = await browser.newPage()
    page.on('request', (request) => requested.push(request.url()))
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text())
    })
    page.on('pageerror', (error) => complaints.push(error.message))
    await page.goto(`${service.url}/docs`)
    await page.waitForSelector('.opblock')
  })
  afterAll(async () => {
    await browser.close()
    await service.close()
  })

  test('shows every path of the document', async () => {
    const shown = await page.locator('.opblock-summary-path').allInnerTexts()
    const document = (await (await fetch(`${service.url}/openapi.json`)).json()) as { paths: object }
    // It breaks long paths with zero-width spaces.
    const paths = new Set(shown.map((path) => path.replaceAll('\u200b', '')))
    expect([...paths].toSorted()).toEqual(Object.keys(document.paths).toSorted())
  })

  test('lets a reader try a call', async () => {
    const operation = page.locator('#operations-buckets-getBuckets')
    await operation.locator('.opblock-summary-control').click()
    await operation.getByRole('button', { name: 'Try it out' }).click()
    await operation.getByRole('button', { name: 'Execute' }).click()
    await operation.locator('.live-responses-table .response-col_status').getByText('200').waitFor()
    expect(await operation.locator('.live-responses-table').innerText()).toContain('certificates')
  })

  test('asks nobody else for anything, and meets no error', () => {
    expect(requested.filter((url) => !url.startsWith(service.url) && !url.startsWith('data:'))).toEqual([])
    expect(complaints).toEqual([])
  })
})
