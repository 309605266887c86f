import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { buildVerifyPage } from '../../scripts/build-verify-page.ts'
import { launchChromium } from './browser.ts'
import { root } from './built-package.ts'

export interface ChosenFile {
  name: string
  mimeType: string
  buffer: Buffer
}

export interface Chosen {
  keys: ChosenFile
  /** What is verified, or the path of one that is large. */
  files: ChosenFile[] | string
  witnesses?: ChosenFile[]
  query?: string
  pin?: string
}

export const fileOf = (name: string, text: string): ChosenFile => ({ name, mimeType: '', buffer: Buffer.from(text) })
export const exportFile = (lines: readonly string[]) => fileOf('history.jsonl', `${lines.join('\n')}\n`)
export const pageOptions = { version: '1.2.3', licenses: 'A & <b>' }

export interface VerifyPage {
  browser: Browser
  page: Page
  /** Of the page's file, in a folder of its own. */
  path: string
  folder: string
  url: string
  /** What the page asked for, and what it or the browser complained of. */
  requests: string[]
  complaints: string[]
  choose(chosen: Chosen): Promise<void>
  /** The one line in which the page says what it found. */
  verify(chosen: Chosen): Promise<string>
  close(): Promise<void>
}

/** The built page, opened as the file that it is, on a small screen and without a network. */
export async function openVerifyPage(): Promise<VerifyPage> {
  const folder = await mkdtemp(join(tmpdir(), 'qflare-verify-'))
  const path = join(folder, 'verify.html')
  const url = pathToFileURL(path).href
  await buildVerifyPage(root, path, pageOptions)
  const browser = await launchChromium()
  const context = await browser.newContext({ offline: true, viewport: { width: 360, height: 800 } })
  const page = await context.newPage()
  const requests: string[] = []
  const complaints: string[] = []
  context.on('request', (request) => requests.push(request.url()))
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('console', (message) => complaints.push(message.text()))
  await page.goto(url)

  async function choose({ keys, files, witnesses = [], query = '', pin = '' }: Chosen): Promise<void> {
    await page.setInputFiles('#keys', keys)
    await page.setInputFiles('#files', files)
    await page.setInputFiles('#witnesses', witnesses)
    await page.fill('#query', query)
    await page.fill('#pin', pin)
  }

  return {
    browser,
    page,
    path,
    folder,
    url,
    requests,
    complaints,
    choose,
    async verify(chosen) {
      await choose(chosen)
      await page.click('button')
      await page.locator('[role=status]:is(.good, .bad)').waitFor()
      return (await page.locator('[role=status]').textContent()) ?? ''
    },
    async close() {
      await browser.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
