import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { canonicalJson, type Json } from '../../protocol/encoding.ts'
import { buildVerifyPage } from '../../scripts/build-verify-page.ts'
import { hasChromium } from '../support/browser.ts'
import { root } from '../support/built-package.ts'
import { makeEntry, makeMemoryLog, makeSigner } from '../support/memory-log.ts'
import { native as crypto } from '../support/protocol-providers.ts'
import {
  type ChosenFile,
  exportFile,
  fileOf,
  openVerifyPage,
  pageOptions,
  type VerifyPage,
} from '../support/verify-page.ts'

describe.skipIf(!hasChromium)('the page that verifies', () => {
  const signer = makeSigner(crypto, 'cosignature')
  const keys = fileOf('audit.vkey', signer.vkey)
  let opened: VerifyPage
  beforeAll(async () => {
    opened = await openVerifyPage()
  })
  afterAll(() => opened?.close())

  const find = (selector: string) => opened.page.locator(selector)

  test('shows what a log holds as text, whatever it is', async () => {
    const name = 'audit/<img/src=x>'
    const own = makeSigner(crypto, 'cosignature', name)
    const html = '</pre></script><script>document.title="x"</script><img src="http://127.0.0.1:1/" onerror=alert(1)>'
    const event = {
      type: html,
      at: 9e15,
      actor: null,
      subject: { deviceId: '\u202eabc\u2069\u0007\u2028' },
      data: [[]],
    }
    const members: { [key: string]: Json } = { ...event, ['<b>']: 1, constructor: { ['\ufeff']: html } }
    const hostile = makeMemoryLog(crypto, [canonicalJson(members), canonicalJson({ type: 'constructor' })], [own])
    const lines = hostile.exportLines({ from: 0, to: 2, size: 2 })
    expect(await opened.verify({ keys: fileOf('<i>\u202e.vkey', own.vkey), files: [exportFile(lines)] })).toBe(
      'Verified: 2 entries of audit/<img/src=x> are what was signed.',
    )
    for (const summary of await find('#events summary').all()) await summary.click()
    await find('#events pre').nth(1).waitFor()
    const text = (await find('body').textContent()) ?? ''
    expect(text).toContain(html)
    expect(text).toContain('\\u202eabc\\u2069')
    expect(/(?![ \n])[\p{C}\p{Zl}\p{Zp}]/u.test((await find('#report').textContent()) ?? '')).toBe(false)
    expect(await find('img, i, #report b, #report script').count()).toBe(0)
    expect(await opened.page.title()).toBe('QFLARE: verify an audit log')
  })

  test('takes files that are dropped on a field, and fits on 360 pixels', async () => {
    await opened.page.reload()
    const drop = async (id: string, files: ChosenFile[]) => {
      const texts = files.map(({ name, buffer }) => [name, buffer.toString()])
      const transfer = await opened.page.evaluateHandle((given) => {
        const made = new (globalThis as unknown as InPage).DataTransfer()
        for (const [name = '', text = ''] of given) made.items.add(new File([text], name))
        return made
      }, texts)
      await opened.page.dispatchEvent(`label:has(#${id})`, 'drop', { dataTransfer: transfer })
    }
    await drop('keys', [keys])
    const log = makeMemoryLog(crypto, [makeEntry(0), makeEntry(1)], [signer])
    await drop('files', [fileOf('1.json', makeEntry(1)), fileOf('1.tlog-proof', log.proofText(1))])
    await opened.page.focus('button')
    await opened.page.keyboard.press('Enter')
    await find('[role=status].good').waitFor()
    expect(await opened.page.evaluate('document.documentElement.scrollWidth')).toBe(360)
  })

  test('answers clicks while it verifies a hundred thousand entries, of which it shows two hundred', async () => {
    const many = makeMemoryLog(
      crypto,
      Array.from({ length: 100_000 }, (_, index) => makeEntry(index)),
      [signer],
    )
    const file = join(opened.folder, 'many.jsonl')
    await writeFile(file, `${many.exportLines({ from: 0, to: 100_000, size: 100_000 }).join('\n')}\n`)
    await opened.choose({ keys, files: file, query: 'session' })
    await opened.page.evaluate(() => {
      const our = globalThis as unknown as InPage
      our.waits = []
      our.document.addEventListener('click', ({ timeStamp }) => {
        if (our.document.querySelector('progress').value < 1) our.waits.push(performance.now() - timeStamp)
      })
    })
    await opened.page.click('button')
    while ((await find('[role=status]:is(.good, .bad)').count()) === 0) {
      await opened.page.mouse.click(3, 3)
      await opened.page.waitForTimeout(50)
    }
    expect(await find('[role=status]').textContent()).toMatch(/^Verified: 100,000 entries/)
    const waits = (await opened.page.evaluate(() => (globalThis as unknown as InPage).waits)).toSorted((a, b) => a - b)
    expect(waits.length).toBeGreaterThan(5)
    expect(waits[Math.floor(waits.length * 0.9)]).toBeLessThan(200)
    expect(await find('#events h2').textContent()).toBe('Events with “session”: 100,000, the first 200 of them here')
    expect(await find('#events details').count()).toBe(200)
  }, 180_000)

  test('asked for nothing all the while, and complained of nothing', () => {
    expect(opened.requests).toEqual([opened.url, opened.url])
    expect(opened.complaints).toEqual([])
  })

  test('could send nothing if it wanted to, with a network', async () => {
    let asked = 0
    const server = createServer((_, response) => {
      asked += 1
      response.end()
    })
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    onTestFinished(() => void server.close())
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
    const online = await opened.browser.newPage()
    await online.goto(opened.url)
    const refused = await online.evaluate(async (to) => {
      const our = globalThis as unknown as InPage
      const seen = new Set<string>()
      our.document.addEventListener('securitypolicyviolation', (event) => seen.add(event.effectiveDirective))
      for (const [tag, name] of [
        ['img', 'src'],
        ['iframe', 'src'],
        ['link', 'href'],
      ] as const) {
        const element = our.document.createElement(tag)
        Object.assign(element, { rel: 'stylesheet', [name]: to })
        our.document.body.append(element)
      }
      our.navigator.sendBeacon(to, 'x')
      const form = our.document.createElement('form')
      Object.assign(form, { action: to, method: 'post' })
      our.document.body.append(form)
      form.submit()
      await fetch(to).catch(() => {})
      await new Promise((done) => setTimeout(done, 500))
      return [...seen]
    }, url)
    expect(refused.toSorted()).toEqual(['connect-src', 'form-action', 'frame-src', 'img-src', 'style-src-elem'])
    expect(asked).toBe(0)
    await online.close()
  })

  test('is the same to the byte each time, whole in one file, and its policy lets no code run but its own', async () => {
    const again = join(opened.folder, 'again.html')
    const hash = await buildVerifyPage(root, again, pageOptions)
    const bytes = await readFile(opened.path)
    expect(bytes.equals(await readFile(again))).toBe(true)
    expect(hash).toBe(Buffer.from(crypto.sha256(bytes)).toString('hex'))
    const text = bytes.toString()
    const policy = /http-equiv="Content-Security-Policy"\s+content="([^"]+)"/.exec(text)?.[1] ?? ''
    expect(policy).toMatch(/^default-src 'none'; script-src 'sha256-[\w+/]{43}='; style-src 'sha256-[\w+/]{43}='; /)
    expect(policy).not.toContain('unsafe')
    expect(text).toContain('<pre>A &amp; &lt;b></pre>')
    expect(text).not.toContain(root)
  })
})

/** What the tests name of a page; the compiler knows no browser here. */
interface InPage {
  DataTransfer: new () => { items: { add(file: File): void } }
  navigator: { sendBeacon(url: string, text: string): boolean }
  waits: number[]
  document: {
    body: { append(element: object): void }
    createElement(tag: string): { submit(): void }
    addEventListener(type: string, listener: (event: { effectiveDirective: string; timeStamp: number }) => void): void
    querySelector(selector: string): { value: number }
  }
}
