import { expect, test } from 'vitest'
import { ConfigError, loadConfig } from '../../../runtime/config.ts'

const contactOf = (env: Record<string, string>) => loadConfig(env).securityContact

test('contacts keep their order, and languages are English where none is named', () => {
  const QFLARE_SECURITY_CONTACT = 'https://fleet.example/report?to=us, mailto:security@fleet.example, tel:+49-30-1234'
  expect(contactOf({ QFLARE_SECURITY_CONTACT })).toEqual({
    contacts: ['https://fleet.example/report?to=us', 'mailto:security@fleet.example', 'tel:+49-30-1234'],
    policy: undefined,
    languages: ['en'],
  })
  expect(contactOf({})).toBeUndefined()
})

test.each([
  ['QFLARE_SECURITY_CONTACT', 'security@fleet.example'],
  ['QFLARE_SECURITY_CONTACT', 'http://fleet.example'],
  ['QFLARE_SECURITY_CONTACT', 'mailto:somebody'],
  ['QFLARE_SECURITY_CONTACT', 'javascript:alert(1)'],
  ['QFLARE_SECURITY_CONTACT', 'https://fleet.example/\r\nExpires: 2099-01-01T00:00:00Z'],
  ['QFLARE_SECURITY_CONTACT', 'mailto:a@b.example\nPolicy: https://elsewhere.example'],
  ['QFLARE_SECURITY_CONTACT', 'https://flotte.example/meldung für uns'],
  ['QFLARE_SECURITY_CONTACT', `https://fleet.example/${'x'.repeat(512)}`],
  ['QFLARE_SECURITY_CONTACT', Array(9).fill('mailto:a@b.example').join(',')],
  ['QFLARE_SECURITY_CONTACT', ','],
  ['QFLARE_SECURITY_POLICY', 'http://fleet.example/policy'],
  ['QFLARE_SECURITY_POLICY', 'https://fleet.example/ policy'],
  ['QFLARE_SECURITY_LANGUAGES', 'english language'],
  ['QFLARE_SECURITY_LANGUAGES', 'en\r\nContact: mailto:c@d.example'],
  ['QFLARE_SECURITY_LANGUAGES', ' , '],
])('%s=%j is refused by its name', (name, value) => {
  const env = { QFLARE_SECURITY_CONTACT: 'mailto:a@b.example', [name]: value }
  expect(() => loadConfig(env)).toThrow(ConfigError)
  expect(() => loadConfig(env)).toThrow(new RegExp(`^  ${name}[.:]`, 'm'))
})

test('a policy that nobody would be shown is refused', () => {
  expect(() => contactOf({ QFLARE_SECURITY_POLICY: 'https://fleet.example/policy' })).toThrow(
    'QFLARE_SECURITY_POLICY: is shown beside QFLARE_SECURITY_CONTACT, which is not set.',
  )
})
