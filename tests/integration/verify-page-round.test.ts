import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hasChromium } from '../support/browser.ts'
import { logVectors } from '../support/protocol-log-vectors.ts'
import { roundVectors } from '../support/protocol-round-vectors.ts'
import { fileOf, openVerifyPage, type VerifyPage } from '../support/verify-page.ts'

// The certificate was made by a program that shares no code with the repository.
describe.skipIf(!hasChromium)('the page that verifies, given the certificate of a round', () => {
  const keys = fileOf('audit.vkey', logVectors.verifierKeys.mlDsa44)
  const text = JSON.stringify(roundVectors.file, null, 1)
  const [first, second] = roundVectors.devices
  const { rootA, rootB } = roundVectors.pins
  const verified = `Verified: round 7 of federation ${roundVectors.federationId} was closed, with 2 devices.`
  let opened: VerifyPage
  beforeAll(async () => {
    opened = await openVerifyPage()
  })
  afterAll(() => opened?.close())

  const verify = (written: string, more: { pin?: string; query?: string; keys?: typeof keys } = {}) =>
    opened.verify({ keys, files: [fileOf('round-7.json', written)], ...more })
  const find = (selector: string) => opened.page.locator(selector)

  test('verifies it under the key of the log alone, and shows who was in it, and the event', async () => {
    expect(await verify(text)).toBe(verified)
    const facts = await find('#facts').innerText()
    for (const shown of [
      '7, CLOSED',
      '2, at least 2 wanted',
      'entry 4 of 6 in fleet.example/audit',
      'its own root key',
    ]) {
      expect(facts).toContain(shown)
    }
    const tables = await find('#participants table').allInnerTexts()
    for (const [at, device] of [first, second].entries()) {
      expect(tables[at]).toContain(device?.deviceId)
      expect(tables[at]).toContain(device?.commitment)
    }
    expect(await find('#events').innerText()).toContain('round.closed')
    expect(await find('#round-says').isVisible()).toBe(true)
    expect(await find('#proof-says').isVisible()).toBe(false)
  })

  test.each([rootA, rootB])('verifies it under the root key %s, which then vouches for who signed', async (pin) => {
    expect(await verify(text, { pin: ` ${pin} ` })).toBe(verified)
    expect(await find('#facts').innerText()).toContain(`vouched for by root key ${pin}`)
  })

  test('shows the devices that were asked for', async () => {
    await verify(text, { query: second?.deviceId ?? '' })
    expect(await find('#participants table').count()).toBe(1)
    expect(await find('#participants h2').innerText()).toContain('1')
  })

  test.each([
    ['with another tier', text.replace('"tier": "affirming"', '"tier": "warning"'), {}, /signature of the round/],
    ['with a member twice', text.replace('"round": 7', '"round": 6, "round": 7'), {}, /stands twice/],
    ['without a proof', JSON.stringify({ ...roundVectors.file, proof: null }), {}, /no proof/],
    ['under the root key of another service', text, { pin: rootA.replace(/^./, 'A') }, /no root key/],
    [
      'under the key of another log',
      text,
      { keys: fileOf('w.vkey', logVectors.verifierKeys.witness) },
      /for which no key is given/,
    ],
  ])('refuses it %s, and shows nobody', async (_, written, more, reason) => {
    const verdict = await verify(written, more)
    expect(verdict).toMatch(/^NOT verified\. /)
    expect(verdict).toMatch(reason)
    expect(await find('#participants').isVisible()).toBe(false)
    expect(await find('#events').isVisible()).toBe(false)
  })

  test('keeps no verdict beside another root key, and asks nobody', async () => {
    expect(await verify(text)).toBe(verified)
    await opened.page.fill('#pin', rootA)
    expect(await find('[role=status]').textContent()).toBe('')
    expect(await find('#report').isVisible()).toBe(false)
    expect([new Set(opened.requests).size, opened.complaints]).toEqual([1, []])
  })
})
