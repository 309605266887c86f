import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { formatVerifierKey } from '../../protocol/log/verifier-key.ts'
import { call } from '../support/api.ts'
import { fetchExport, firstOrganization, logEvents, readEntries } from '../support/audit.ts'
import { hasChromium } from '../support/browser.ts'
import { makeEntry, makeMemoryLog, makeSigner } from '../support/memory-log.ts'
import { flipBit } from '../support/protocol-providers.ts'
import { crypto, startTestService } from '../support/service.ts'
import { exportFile, fileOf, openVerifyPage, type VerifyPage } from '../support/verify-page.ts'

describe.skipIf(!hasChromium)('the page that verifies', () => {
  const [signer, strong] = [makeSigner(crypto, 'cosignature'), makeSigner(crypto, 'mlDsa87')]
  const witness = makeSigner(crypto, 'cosignature', 'witness.example', 'witness')
  const keys = fileOf('audit.vkey', `# both\n${signer.vkey}\n${strong.vkey}\n`)
  const log = makeMemoryLog(
    crypto,
    Array.from({ length: 1_000 }, (_, index) => makeEntry(index)),
    [signer, strong],
  )
  let opened: VerifyPage
  beforeAll(async () => {
    opened = await openVerifyPage()
  })
  afterAll(() => opened?.close())

  const find = (selector: string) => opened.page.locator(selector)
  const proofOf = (index: number, { event = makeEntry(index), proof = log.proofText(index) } = {}) => [
    fileOf('evidence.tlog-proof', proof),
    fileOf('evidence.json', event),
  ]

  test('verifies what a service gives: a proof, an export, and finds its events', async () => {
    const service = await startTestService()
    onTestFinished(() => service.close())
    const organization = await firstOrganization(service)
    const [first] = await logEvents(service, organization, 20)
    const stored = (await readEntries(service)).find(({ event }) => event.id === first?.eventId)
    const { body: proof } = await call(service, 'GET', `/v1/audit/events/${first?.eventId}/proof`, {
      token: service.adminToken,
    })
    const of = fileOf('audit.vkey', service.log.keys.map(formatVerifierKey).join('\n'))
    const files = [fileOf('e.json', stored?.entry ?? ''), fileOf('e.tlog-proof', proof as string)]
    expect(await opened.verify({ keys: of, files })).toBe(
      `Verified: the event is entry ${stored?.index} of test.example/audit.`,
    )
    const shown = await find('#events').innerText()
    for (const text of [stored?.entry, first?.eventId, 'device.resumed']) expect(shown).toContain(text)

    const lines = await fetchExport(service)
    const query = stored?.event.subject.deviceId ?? ''
    expect(await opened.verify({ keys: of, files: [exportFile(lines)], query })).toBe(
      `Verified: ${lines.length - 2} entries of test.example/audit are what was signed.`,
    )
    expect(await find('#events summary').allTextContents()).toEqual([expect.stringContaining(query)])
    await opened.page.click('#events summary')
    expect(await find('#events pre').textContent()).toBe(stored?.entry)
  })

  test('says which key signed which tree when, and that no witness was asked', async () => {
    await opened.verify({ keys, files: proofOf(777) })
    const facts = await find('#facts').innerText()
    for (const text of [
      'test.example/audit',
      Buffer.from(log.root(1_000)).toString('base64'),
      '2026-11-22 03:30:00.000 UTC',
      'ML-DSA-44',
      'ML-DSA-87',
      signer.vkey.split('+')[1],
      Buffer.from(crypto.sha256(keys.buffer)).toString('hex'),
      'none asked for',
    ]) {
      expect(facts).toContain(text)
    }
    for (const id of ['proof-says', 'not-proven']) expect(await find(`#${id}`).isVisible()).toBe(true)
    expect(await find('#export-says').isVisible()).toBe(false)
  })

  test('refuses one other bit of an event, a hash or the checkpoint, and names the entry', async () => {
    const named = 'NOT verified. Entry 777 is not what the tree of 1000 holds.'
    expect(
      await opened.verify({ keys, files: proofOf(777, { event: makeEntry(777).replace('"n":777', '"n":776') }) }),
    ).toBe(named)
    const hash = log.proofText(777).split('\n')[2] ?? ''
    const other = Buffer.from(flipBit(Buffer.from(hash, 'base64'), 9)).toString('base64')
    expect(await opened.verify({ keys, files: proofOf(777, { proof: log.proofText(777).replace(hash, other) }) })).toBe(
      named,
    )
    expect(await find('#events').isVisible()).toBe(false)

    const lines = log.exportLines({ from: 700, to: 900, size: 1_000 })
    expect(await opened.verify({ keys, files: [exportFile(lines)] })).toBe(
      'Verified: 200 entries of test.example/audit are what was signed.',
    )
    const altered = lines.with(78, (lines[78] ?? '').replace('"n":777', '"n":776'))
    expect(await opened.verify({ keys, files: [exportFile(altered)] })).toBe(
      'NOT verified: the first bad entry is 777. Entry 777 is not the one that was logged.',
    )
    expect(
      await opened.verify({ keys, files: [exportFile(lines.with(-1, (lines.at(-1) ?? '').replace('1000', '1001')))] }),
    ).toMatch(/^NOT verified\. The signature of test\.example\/audit \(ML-DSA-44\) does not verify\.$/)
    expect(await opened.verify({ keys, files: [fileOf('cut', lines.slice(0, 40).join('\n'))] })).toMatch(
      /^NOT verified: .* is 738\. .*middle/,
    )
  })

  test('wants the signature of every witness that is named', async () => {
    const witnesses = [fileOf('w.vkey', witness.vkey)]
    expect(await opened.verify({ keys, files: proofOf(5), witnesses })).toBe(
      'NOT verified. The witness witness.example did not sign the checkpoint.',
    )
    const witnessed = makeMemoryLog(crypto, log.entries, [signer, strong, witness])
    expect(await opened.verify({ keys, files: proofOf(5, { proof: witnessed.proofText(5) }), witnesses })).toMatch(
      /^Verified: .*entry 5 /,
    )
    expect(await find('#facts').innerText()).toContain('witness.example')
    expect(await opened.verify({ keys, files: proofOf(5), witnesses: [keys] })).toMatch(
      /^Nothing was verified\. .* no witness of it\.$/,
    )
  })

  test('says of files that cannot be used that nothing was verified, and keeps no old verdict beside new files', async () => {
    for (const [files, of] of [
      [proofOf(1).slice(1), keys],
      [[...proofOf(1), exportFile([])], keys],
      [[fileOf('a.jsonl.gz', '\u001f\u008b')], keys],
      [proofOf(1, { event: `${makeEntry(1).slice(0, -1)},"v":1}` }), keys],
      [proofOf(1), fileOf('empty', '# none\n')],
      [proofOf(1), fileOf('other', 'name+00000000+AAAA')],
    ] as const) {
      expect(await opened.verify({ keys: of, files: [...files] })).toMatch(/^Nothing was verified\. /)
    }
    expect(await opened.verify({ keys, files: proofOf(1) })).toMatch(/^Verified/)
    await opened.page.setInputFiles('#files', proofOf(2))
    expect(await find('[role=status]').textContent()).toBe('')
    expect(await find('#report').isVisible()).toBe(false)
  })
})
