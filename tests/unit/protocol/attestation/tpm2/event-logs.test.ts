import { describe, expect, test } from 'vitest'
import type { Json } from '../../../../../protocol/encoding.ts'
import { bankOf, le32, writeEventLog, writeLogEvent, writeLogHeader } from '../../../../support/tpm/event-logs.ts'
import {
  type EvidenceOptions,
  makeEvidence,
  pcrsAfter,
  testEvents,
  testPcrs,
  toText,
  verifyEvidence,
} from '../../../../support/tpm/evidence.ts'
import { hashOf, type TpmHash } from '../../../../support/tpm/structures.ts'
import { failedCheckOf } from './refusals.ts'

const all = [0, 1, 2, 3, 4, 5, 6, 7]
const simple = (events: readonly { pcr: number; text: string }[]) =>
  events.map(({ pcr, text }) => ({ pcr, eventData: toText(Buffer.from(text)) }))
const withLog = (eventLog: Json | Uint8Array, options: EvidenceOptions = {}) =>
  makeEvidence({ ...options, members: { eventLog: eventLog instanceof Uint8Array ? toText(eventLog) : eventLog } })
const replayedBy = (eventLog: Json | Uint8Array, options: EvidenceOptions = {}) =>
  (verifyEvidence(withLog(eventLog, options)).claims as { replayed: Json }).replayed

const forms = [
  ['of the firmware', (events: typeof testEvents) => writeEventLog(events)],
  ['of a program', (events: typeof testEvents) => simple(events)],
] as const

describe.each(forms)('an event log %s', (_, write) => {
  test('explains every PCR in which its events end, and those that were never extended', () => {
    expect(replayedBy(write(testEvents))).toEqual({ sha256: all })
  })

  test('explains nothing of a PCR that it does not name and that was extended', () => {
    expect(replayedBy(write(testEvents.filter(({ pcr }) => pcr !== 7)))).toEqual({ sha256: all.slice(0, 7) })
  })

  test.each([
    ['lacks an event', testEvents.filter(({ text }) => text !== 'grub')],
    ['has one more', [...testEvents, { pcr: 1, text: 'setting' }]],
    ['has another one', testEvents.map((event) => (event.pcr === 7 ? { ...event, text: 'SecureBoot=0' } : event))],
    ['has them in another order', testEvents.toReversed()],
  ])('fails tpm2.event_log when it %s', (__, events) => {
    expect(failedCheckOf(withLog(write(events)))).toBe('tpm2.event_log')
  })

  test('may name PCRs that are not quoted', () => {
    expect(replayedBy(write([...testEvents, { pcr: 10, text: 'ima' }]))).toEqual({ sha256: all })
  })
})

test('without an event log nothing is said to be explained', () => {
  expect(verifyEvidence(makeEvidence()).claims).not.toHaveProperty('replayed')
})

describe('an event log of the firmware', () => {
  test('is held against each bank that it has', () => {
    const banks = ['sha256', 'sha384'] as const
    const quote = { pcrs: pcrsAfter(testEvents, banks) }
    expect(replayedBy(writeEventLog(testEvents, ['sha384', 'sha1', 'sha256']), { quote })).toEqual({
      sha256: all,
      sha384: all,
    })
    expect(replayedBy(writeEventLog(testEvents, ['sha384']), { quote })).toEqual({ sha384: all })
  })

  test('begins PCR 0 with the locality that it says, and no other PCR', () => {
    const locality = { pcr: 0, type: 3, text: 'StartupLocality\0\x03' }
    const start = Buffer.concat([Buffer.alloc(31), Buffer.of(3)])
    const first = hashOf('sha256', start, hashOf('sha256', Buffer.from('firmware 1.2.0'))).toString('hex')
    const quote = { pcrs: { sha256: { ...testPcrs.sha256, 0: first } } }
    expect(replayedBy(writeEventLog([locality, ...testEvents]), { quote })).toEqual({ sha256: all })
    for (const other of [
      { ...locality, pcr: 1 },
      { ...locality, type: 4 },
      { ...locality, text: 'StartupLocality\0\x03\x00' },
      { ...locality, text: 'StartupLocalitY\0\x03' },
    ]) {
      expect(failedCheckOf(withLog(writeEventLog([other, ...testEvents]), { quote }))).toBe('tpm2.event_log')
    }
  })

  test('says things that extend nothing, of whatever PCR', () => {
    const said = { pcr: 0xffff_ffff, type: 3, text: 'said' }
    expect(replayedBy(writeEventLog([said, ...testEvents, said]))).toEqual({ sha256: all })
  })

  const two: TpmHash[] = ['sha1', 'sha256']
  const event = (changes: Parameters<typeof writeLogEvent>[2]) => writeLogEvent({ pcr: 1, text: 'text' }, two, changes)
  const digest = (bank: TpmHash) => {
    const [algorithm, length] = bankOf(bank)
    return Buffer.concat([Buffer.of(algorithm, 0), Buffer.alloc(length, 1)])
  }
  const header = (changes: Parameters<typeof writeLogHeader>[1]) => writeLogHeader(two, changes)

  test.each<[string, Uint8Array]>([
    ['is of the old form', header({ signature: 'Spec ID Event02\0' })],
    ['begins with another PCR', header({ pcr: 1 })],
    ['begins with another event', header({ type: 4 })],
    ['begins with a digest', header({ digest: Buffer.concat([Buffer.alloc(19), Buffer.of(1)]) })],
    ['has a header that ends too early', header({ count: 3 })],
    ['has a header with more behind it', header({ behind: Buffer.of(0) })],
    ['has a bank twice', header({ banks: [bankOf('sha256'), bankOf('sha256')] })],
    [
      'has more banks than there are',
      header({ banks: Array.from({ length: 17 }, (_, index) => [index + 0x40, 20] as const) }),
    ],
    ['has a bank of another length', header({ banks: [[bankOf('sha256')[0], 31]] })],
    ['has a bank of 65 bytes', header({ banks: [[0x99, 65]] })],
    [
      'has an event without one of its digests',
      Buffer.concat([header({}), event({ count: 1, digests: digest('sha256') })]),
    ],
    [
      'has an event with a digest twice',
      Buffer.concat([header({}), event({ digests: Buffer.concat([digest('sha256'), digest('sha256')]) })]),
    ],
    [
      'has an event with a digest of another bank',
      Buffer.concat([header({}), event({ digests: Buffer.concat([digest('sha256'), digest('sha384')]) })]),
    ],
    [
      'has an event with one digest more',
      Buffer.concat([
        header({}),
        event({ count: 3, digests: Buffer.concat([digest('sha1'), digest('sha256'), digest('sha256')]) }),
      ]),
    ],
    ['ends within an event', Buffer.concat([header({}), event({}).subarray(0, -1)])],
    ['ends before the data of an event', Buffer.concat([header({}), event({ length: 0xffff_ffff })])],
    ['has something behind its events', Buffer.concat([header({}), event({}), Buffer.of(0)])],
    ['extends a PCR that there is not', Buffer.concat([header({}), writeLogEvent({ pcr: 24, text: '' }, two)])],
    ['has 1025 events', Buffer.concat([header({}), ...Array.from({ length: 1025 }, () => event({}))])],
    [
      'is longer than 256 KiB',
      Buffer.concat([
        header({}),
        ...Array.from({ length: 5 }, () => writeLogEvent({ pcr: 9, text: ' '.repeat(60_000) }, two)),
      ]),
    ],
  ])('is malformed when it %s', (_, log) => {
    expect(failedCheckOf(withLog(log))).toBe('malformed')
  })

  test.each<[string, Uint8Array]>([
    ['no events', header({})],
    [
      'something of the vendor',
      Buffer.concat([header({ vendor: Buffer.of(1, 2, 3) }), ...testEvents.map((one) => writeLogEvent(one, two))]),
    ],
    ['16 banks', header({ banks: Array.from({ length: 16 }, (_, index) => [index + 0x40, 64] as const) })],
    ['PCR 23', Buffer.concat([header({}), writeLogEvent({ pcr: 23, text: '' }, two)])],
    [
      '1024 events',
      Buffer.concat([header({}), ...Array.from({ length: 1024 }, () => writeLogEvent({ pcr: 9, text: '' }, two))]),
    ],
    [
      'an event without data',
      Buffer.concat([
        header({}),
        Buffer.concat([le32(9), le32(1), le32(2), digest('sha1'), digest('sha256'), le32(0)]),
      ]),
    ],
  ])('may have %s', (_, log) => {
    expect(failedCheckOf(withLog(log))).toBeUndefined()
  })
})

describe('an event log of a program', () => {
  const event = { pcr: 9, eventData: '' }

  test.each<[string, Json]>([
    ['extends a PCR that there is not', [{ ...event, pcr: 24 }]],
    ['extends a PCR below zero', [{ ...event, pcr: -1 }]],
    ['has a further member', [{ ...event, digest: '' }]],
    ['has an event without data', [{ pcr: 9 }]],
    ['describes an event at length', [{ ...event, description: ' '.repeat(257) }]],
    ['has 1025 events', Array.from({ length: 1025 }, () => event)],
    ['is no list', { 0: event }],
  ])('is malformed when it %s', (_, log) => {
    expect(failedCheckOf(withLog(log))).toBe('malformed')
  })

  test('may describe its events, and has at most 1024', () => {
    expect(failedCheckOf(withLog([{ ...event, description: 'kernel' }]))).toBeUndefined()
    expect(failedCheckOf(withLog(Array.from({ length: 1024 }, () => event)))).toBeUndefined()
  })
})
