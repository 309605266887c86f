import { describe, expect, test } from 'vitest'
import { androidKey } from '../../../../../protocol/attestation/formats/android-key.ts'
import { androidEvidence, androidRoot, enrollingAndroid, makeChain } from '../../../../support/android-key/evidence.ts'
import {
  applicationId,
  type DescriptionChanges,
  makeDescription,
  rootOfTrust,
} from '../../../../support/android-key/key-description.ts'
import {
  der,
  derBoolean,
  derEnumerated,
  derInteger,
  derNull,
  derOctets,
  derSequence,
  derSet,
  derTagged,
} from '../../../../support/der.ts'

const malformed = expect.objectContaining({ code: 'evidence_malformed' })
const parse = (description: DescriptionChanges) => androidKey.parse(androidEvidence(makeChain({ description })))
const claimsOf = (description: DescriptionChanges) =>
  parse(description).verify([androidRoot()], enrollingAndroid).claims
const text = (value: string) => derOctets(Buffer.from(value))

describe('evidence is malformed', () => {
  const good = androidEvidence()
  test.each([
    ['without a chain', { format: 'android-key' }],
    ['with a chain that is none', { ...good, chain: 'AAAA' }],
    ['with one certificate', { ...good, chain: good.chain.slice(0, 1) }],
    ['with eleven certificates', { ...good, chain: Array.from({ length: 11 }, () => good.chain[0] as string) }],
    ['with a member that is not known', { ...good, token: 'AAAA' }],
    ['with an identity chain of one certificate', { ...good, identityChain: good.chain.slice(0, 1) }],
    ['with an empty certificate', { ...good, chain: [...good.chain, ''] }],
    ['with a certificate of more than 8 KiB', { ...good, chain: [...good.chain, 'A'.repeat(10_928)] }],
    ['with what is no certificate', { ...good, chain: [...good.chain, 'MAA'] }],
    ['with what is no certificate in the identity chain', { ...good, identityChain: [good.chain[0] as string, 'MAA'] }],
  ])('%s', (_, evidence) => {
    expect(() => androidKey.parse(evidence)).toThrow(malformed)
  })

  test('only from eleven certificates on', () => {
    const chain = [...good.chain, ...Array.from({ length: 6 }, () => good.chain[3] as string)]
    expect(androidKey.parse({ ...good, chain }).verify([androidRoot()], enrollingAndroid).attester).toBeDefined()
  })
})

describe('a description', () => {
  test('may have every tag that its type knows, and nothing is kept of most', () => {
    const numbers = derSet(derInteger(1))
    const hardware = {
      4: numbers,
      6: numbers,
      11: derInteger(1),
      200: derInteger(65_537),
      203: numbers,
      303: derNull,
      305: derNull,
      400: derInteger(2n ** 64n - 1n),
      401: derInteger(1),
      402: derInteger(1),
      405: derInteger(1),
      504: derInteger(1),
      505: derInteger(1),
      506: derNull,
      507: derNull,
      508: derNull,
      509: derNull,
      600: derNull,
      601: text('x'),
      703: derNull,
      710: text('brand'),
      711: text('device'),
      712: text('product'),
      717: text('model'),
      720: derNull,
      721: derNull,
    }
    expect(claimsOf({ hardware })).toEqual(claimsOf({}))
  })

  test('may be of a device without a boot hash', () => {
    expect(claimsOf({ hardware: { 704: rootOfTrust({ hash: undefined }) } })).toEqual(claimsOf({}))
  })

  test.each([
    ['self-signed', 1],
    ['unverified', 2],
    ['failed', 3],
  ])('says that what was booted is %s', (verifiedBootState, state) => {
    expect(claimsOf({ hardware: { 704: rootOfTrust({ state, locked: derBoolean(false) }) } })).toMatchObject({
      rootOfTrust: { verifiedBootState, deviceLocked: false },
    })
  })

  test('may have several purposes, packages and signers', () => {
    const software = {
      709: applicationId(
        [
          ['a.b', 1],
          ['c.d', 2 ** 52],
        ],
        [Buffer.alloc(32, 1), Buffer.alloc(32, 2)],
      ),
    }
    expect(claimsOf({ software, hardware: { 1: derSet(derInteger(2), derInteger(3)) } })).toMatchObject({
      keys: [{ purposes: [2, 3] }],
      application: {
        packages: [
          { name: 'a.b', version: 1 },
          { name: 'c.d', version: 2 ** 52 },
        ],
        signers: ['01'.repeat(32), '02'.repeat(32)],
      },
    })
  })

  test('may be of what the system calls itself, which nobody signed', () => {
    const software = { 709: applicationId([['AndroidSystem', 35]], []) }
    expect(claimsOf({ software })).toMatchObject({ application: { signers: [] } })
  })

  test('has a challenge of 128 bytes at most', () => {
    expect(parse({ challenge: Buffer.alloc(128) })).toBeDefined()
    expect(() => parse({ challenge: Buffer.alloc(129) })).toThrow(malformed)
  })

  test('has an application id of 1024 bytes at most', () => {
    const ofLength = (length: number) => {
      const signers = Array.from({ length: 28 }, () => Buffer.alloc(32))
      const overhead = applicationId([['', 1]], signers).length - 4
      return { software: { 709: applicationId([['a'.repeat(length - overhead), 1]], signers) } }
    }
    expect(parse(ofLength(1024))).toBeDefined()
    expect(() => parse(ofLength(1025))).toThrow(malformed)
  })

  const digests = derSet(derOctets(Buffer.alloc(32)))
  const info = derSequence(text('a.b'), derInteger(1))
  const application = (...parts: Buffer[]) => ({ software: { 709: derOctets(derSequence(...parts)) } })
  test.each<[string, DescriptionChanges]>([
    ['a unique id', { uniqueId: Buffer.alloc(16) }],
    ['a security level that is unknown', { attestationLevel: 3 }],
    ['a security level of the key that is unknown', { keyMintLevel: 3 }],
    ['a part too many', { end: derNull }],
    ['tags that do not ascend', { changeOrder: ([one, two, ...others]) => [two as Buffer, one as Buffer, ...others] }],
    ['a tag twice', { changeOrder: ([one, ...others]) => [one as Buffer, one as Buffer, ...others] }],
    [
      'tags that do not ascend at the end',
      { changeOrder: (entries) => [...entries.slice(0, -2), ...entries.slice(-2).toReversed()] },
    ],
    ['a value without a tag', { changeOrder: (entries) => [derInteger(1), ...entries] }],
    ['a value with a tag of an application', { changeOrder: (entries) => [der(0x61, derNull), ...entries] }],
    ['a value with a private tag', { changeOrder: (entries) => [...entries, der(0xe1, derNull)] }],
    ['an implicit tag', { changeOrder: (entries) => [...entries, Buffer.from('9f856402b00b', 'hex')] }],
    ['a serial number of the device', { hardware: { 713: text('0123456789') } }],
    ['an IMEI', { hardware: { 714: text('490154203237518') } }],
    ['an MEID', { software: { 715: text('A0000000000000') } }],
    ['a second IMEI', { hardware: { 723: text('490154203237518') } }],
    ['a tag that is unknown', { hardware: { 725: derNull } }],
    ['a tag of the number 0', { changeOrder: (entries) => [der(0xa0, derNull), ...entries] }],
    [
      'a tag of 128 and more in four bytes',
      { changeOrder: (entries) => [...entries, Buffer.from('bf8180010500', 'hex')] },
    ],
    ['an empty tag', { hardware: { 503: Buffer.alloc(0) } }],
    ['two values under a tag', { hardware: { 503: Buffer.concat([derNull, derNull]) } }],
    ['a set where a number belongs', { hardware: { 2: derSet(derInteger(3)) } }],
    ['a number where a set belongs', { hardware: { 1: derInteger(2) } }],
    ['a set of something else', { hardware: { 1: derSet(derOctets(Buffer.of(2))) } }],
    ['a set of something else too', { hardware: { 1: derSet(derInteger(2), derOctets(Buffer.of(3))) } }],
    ['a number where nothing belongs', { hardware: { 503: derInteger(1) } }],
    ['a number where text belongs', { hardware: { 716: derInteger(1) } }],
    ['a negative purpose', { hardware: { 1: derSet(Buffer.from('0201ff', 'hex')) } }],
    ['a negative origin', { hardware: { 702: Buffer.from('020180', 'hex') } }],
    ['a patch level that is far too large', { hardware: { 706: derInteger(2n ** 53n) } }],
    ['a version of Android of eight bytes', { hardware: { 705: derInteger(2n ** 62n) } }],
    ['a root of trust that is none', { hardware: { 704: derSequence() } }],
    [
      'a root of trust in another order',
      { hardware: { 704: derSequence(derBoolean(true), derOctets(Buffer.alloc(32)), derEnumerated(0)) } },
    ],
    ['a root of trust with a part too many', { hardware: { 704: rootOfTrust({ end: derNull }) } }],
    ['a boot key of 31 bytes', { hardware: { 704: rootOfTrust({ key: Buffer.alloc(31) }) } }],
    ['a boot hash of 33 bytes', { hardware: { 704: rootOfTrust({ hash: Buffer.alloc(33) }) } }],
    ['a lock that is neither', { hardware: { 704: rootOfTrust({ locked: Buffer.from('010101', 'hex') }) } }],
    ['a boot state that is unknown', { hardware: { 704: rootOfTrust({ state: 4 }) } }],
    [
      'a boot state of two bytes',
      { hardware: { 704: derSequence(derOctets(Buffer.alloc(32)), derBoolean(true), Buffer.from('0a020000', 'hex')) } },
    ],
    ['a module hash of 16 bytes', { software: { 724: derOctets(Buffer.alloc(16)) } }],
    ['an application id that is none', { software: { 709: text('app') } }],
    ['an application id without packages', application(derSet(), digests)],
    ['an application id without signers', application(derSet(info))],
    ['a package that is none', application(derSet(derOctets(info)), digests)],
    ['a package that is a set', application(derSet(derSet(text('a.b'), derInteger(1))), digests)],
    ['a package without a version', application(derSet(derSequence(text('a.b'))), digests)],
    ['a package without a name', application(derSet(derSequence(text(''), derInteger(1))), digests)],
    ['a package with a space in its name', application(derSet(derSequence(text('a b'), derInteger(1))), digests)],
    ['a package with a name of 256', application(derSet(derSequence(text('a'.repeat(256)), derInteger(1))), digests)],
    [
      'a package of a negative version',
      application(derSet(derSequence(text('a'), Buffer.from('0201ff', 'hex'))), digests),
    ],
    ['a signer of 31 bytes', application(derSet(info), derSet(derOctets(Buffer.alloc(31))))],
    ['a signer that is none', application(derSet(info), derSet(der(0x0c, Buffer.alloc(32, 0x41))))],
  ])('with %s is malformed', (_, description) => {
    expect(() => parse(description)).toThrow(malformed)
  })

  test.each([
    ['nothing', Buffer.alloc(0)],
    ['no sequence', derNull],
    ['a byte behind it', Buffer.concat([makeDescription(), Buffer.of(0)])],
    ['parts that lack', derSequence(derInteger(400))],
    ['a list with a tag that is not minimal', derSequence(derTagged(1, derNull))],
  ])('that holds %s is malformed', (_, extension) => {
    expect(() => androidKey.parse(androidEvidence(makeChain({ extension })))).toThrow(malformed)
  })
})
