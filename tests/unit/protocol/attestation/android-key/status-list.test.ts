import { expect, test } from 'vitest'
import { collateralKindReaders } from '../../../../../protocol/attestation/collateral-kinds.ts'
import { parseStatusList } from '../../../../../protocol/attestation/formats/android-key/status-list.ts'

const malformed = expect.objectContaining({ code: 'evidence_malformed' })
const bytes = (text: string) => Buffer.from(text)

/** As Google publishes it. */
const published = `{
  "entries": {
    "2c8cdddfd5e03bfc": {"status": "REVOKED", "expires": "2020-11-13", "reason": "KEY_COMPROMISE", "comment": "Key stored on unsecure system"},
    "c8966fcb2fbb0d7a": {"status": "SUSPENDED", "reason": "SOFTWARE_FLAW"},
    "15905857467176635834": {"status": "REVOKED"}
  }
}`

test('a status list is read as it is published', () => {
  expect([...parseStatusList(bytes(published))]).toEqual([
    ['2c8cdddfd5e03bfc', { status: 'REVOKED', reason: 'KEY_COMPROMISE' }],
    ['c8966fcb2fbb0d7a', { status: 'SUSPENDED', reason: 'SOFTWARE_FLAW' }],
    ['15905857467176635834', { status: 'REVOKED', reason: null }],
  ])
})

test('a status list is as old as its fetching, and has no end', () => {
  expect(collateralKindReaders['android-status-list'](bytes(published), [], 1_795_000_000_000)).toEqual({
    lookupId: 'android-status-list:google',
    issuedAt: 1_795_000_000_000,
    nextUpdateAt: undefined,
    name: 'Android key attestation status list of 3 certificates',
  })
})

test.each([
  ['nothing', ''],
  ['no JSON', '{"entries": {}'],
  ['something behind it', '{"entries": {}} {}'],
  ['no object', '[]'],
  ['a number', '1'],
  ['no entries', '{}'],
  ['entries that are none', '{"entries": []}'],
  ['another member', '{"entries": {}, "next": {}}'],
  ['entries twice', '{"entries": {}, "entries": {}}'],
  ['an entry twice', '{"entries": {"a1": {"status": "SUSPENDED"}, "a1": {"status": "REVOKED"}}}'],
  ['a status twice', '{"entries": {"a1": {"status": "REVOKED", "status": "SUSPENDED"}}}'],
  ['a status that is unknown', '{"entries": {"a1": {"status": "GOOD"}}}'],
  ['an entry without a status', '{"entries": {"a1": {}}}'],
  ['an entry that is none', '{"entries": {"a1": "REVOKED"}}'],
  ['a reason that is no word', '{"entries": {"a1": {"status": "REVOKED", "reason": "key compromise"}}}'],
  ['a serial number in capitals', '{"entries": {"A1": {"status": "REVOKED"}}}'],
  ['a serial number that begins with a zero', '{"entries": {"0a": {"status": "REVOKED"}}}'],
  ['an empty serial number', '{"entries": {"": {"status": "REVOKED"}}}'],
  ['a serial number of 65 digits', `{"entries": {"${'a'.repeat(65)}": {"status": "REVOKED"}}}`],
  ['far too much nesting', '['.repeat(100_000)],
])('a status list with %s is malformed', (_, text) => {
  expect(() => parseStatusList(bytes(text))).toThrow(malformed)
})
