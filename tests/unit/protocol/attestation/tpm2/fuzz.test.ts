import fc from 'fast-check'
import { expect, test } from 'vitest'
import { percentileOf } from '../../../../../bench/figure.ts'
import { tpm2 } from '../../../../../protocol/attestation/formats/tpm2.ts'
import type { Json } from '../../../../../protocol/encoding.ts'
import { ProtocolError } from '../../../../../protocol/errors.ts'
import { jsonMutation, mutateJson } from '../../../../support/json-mutations.ts'
import { writeEventLog } from '../../../../support/tpm/event-logs.ts'
import {
  akKinds,
  type EvidenceOptions,
  makeEvidence,
  makeKnownEvidence,
  pcrsAfter,
  type TestEvidence,
  testEvents,
  toText,
} from '../../../../support/tpm/evidence.ts'
import { readTpmCase, tpmFixtureCases } from '../../../../support/tpm/fixtures.ts'

/** QFLARE_FUZZ_RUNS=100000 is the long run; its figures are printed. */
const numRuns = Number(process.env.QFLARE_FUZZ_RUNS ?? 2000)

/** What no input may take. */
const SLOW_MS = 5

const programLog = testEvents.map(({ pcr, text }) => ({ pcr, description: text, eventData: toText(Buffer.from(text)) }))
const both = pcrsAfter(testEvents, ['sha256', 'sha384'])
const firmwareLog = toText(writeEventLog(testEvents, ['sha1', 'sha256', 'sha384']))

/** Each is bound to something else: with all of its signed members another one is no copy of it. */
function seedOf(
  index: number,
  make: (options: EvidenceOptions) => TestEvidence,
  options: EvidenceOptions,
): TestEvidence {
  const binding = Buffer.alloc(32, index)
  const made = make({ ...options, quote: { ...options.quote, binding } })
  return { ...made, expected: { ...made.expected, binding } }
}

/** Those that QFLARE_FIXTURES names, where it does: each with and without its event log. */
const fixtures = tpmFixtureCases
  .flatMap((name) => [readTpmCase(name, false), readTpmCase(name, true)])
  .filter(({ verdict }) => verdict === 'accept')

const seeds: Pick<TestEvidence, 'evidence' | 'anchors' | 'expected'>[] = [
  ...fixtures,
  seedOf(1, makeEvidence, { members: { eventLog: programLog } }),
  seedOf(2, makeEvidence, { ek: 'RSA-2048', ak: akKinds['RSASSA, SHA-256'] }),
  seedOf(3, makeEvidence, { ek: 'P-384', quote: { pcrs: both }, members: { eventLog: firmwareLog } }),
  seedOf(4, makeKnownEvidence, { ak: akKinds['RSAPSS, SHA-256'], members: { eventLog: firmwareLog } }),
  seedOf(5, makeKnownEvidence, { quote: { pcrs: both } }),
  seedOf(6, makeKnownEvidence, { ak: akKinds['RSASSA, SHA-384'], members: { eventLog: programLog } }),
]
const verified = seeds.map(({ evidence, anchors, expected }) => tpm2.parse(evidence).verify(anchors, expected))
const evidences = seeds.map(({ evidence }) => evidence)

/** What a log explains is not signed: it may explain less, and never anything that it did not. */
function withoutLog(claims: Json): Json {
  const { replayed: _, ...others } = claims as Record<string, Json>
  return others
}

test('no mutation of evidence is taken for something else, and none throws anything but what is said', {
  timeout: 3_600_000,
}, () => {
  const times: number[] = []
  let repeated = 0
  const outcomes = new Map<string, number>()
  const count = (outcome: string) => outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  const attempt = (seed: number, evidence: Record<string, Json>) => {
    const { anchors, expected } = seeds[seed] as (typeof seeds)[number]
    const before = process.cpuUsage()
    try {
      return tpm2.parse(evidence).verify(anchors, expected)
    } catch (error) {
      if (error instanceof ProtocolError && error.code.startsWith('evidence_')) return error.check ?? error.code
      throw error
    } finally {
      const { user, system } = process.cpuUsage(before)
      times.push((user + system) / 1000)
    }
  }
  /** A collection of garbage, and the compiler's work, fall to whatever runs at the time. */
  const attemptQuickly = (seed: number, evidence: Record<string, Json>) => {
    const found = attempt(seed, evidence)
    const first = times.at(-1) as number
    if (first <= SLOW_MS) return found
    repeated++
    for (let again = 0; again < 3; again++) attempt(seed, evidence)
    times.push(Math.min(...times.splice(-4)))
    return found
  }
  fc.assert(
    fc.property(
      fc.nat({ max: seeds.length - 1 }),
      fc.array(jsonMutation, { minLength: 1, maxLength: 3 }),
      (seed, mutations) => {
        const evidence = mutateJson(evidences[seed] as Record<string, Json>, mutations, evidences)
        const found = attemptQuickly(seed, evidence)
        count(typeof found === 'string' ? found : 'the same claims')
        if (typeof found === 'string') return
        expect(withoutLog(found.claims)).toEqual(withoutLog(verified[seed]?.claims as Json))
        expect(found.attester).toEqual(verified[seed]?.attester)
      },
    ),
    { numRuns },
  )
  const [median, most, largest] = [0.5, 0.999, 1].map((share) => percentileOf(times, share).toFixed(3))
  const counts = Object.fromEntries([...outcomes].toSorted(([, one], [, other]) => other - one))
  const figures = `median ${median} ms of CPU, p99.9 ${most} ms, largest ${largest} ms`
  console.log(`${times.length} mutations: ${figures}; ${repeated} took longer than ${SLOW_MS} ms at first`, counts)
  expect(outcomes.size).toBeGreaterThan(10)
})

test('no request for a credential throws anything but what is said', { timeout: 3_600_000 }, () => {
  const requests = evidences
    .slice(0, 3)
    .map(({ ekCertificate = '', ekChain = [], akPublic = '' }) => ({ ekCertificate, ekChain, akPublic }))
  fc.assert(
    fc.property(fc.nat({ max: 2 }), fc.array(jsonMutation, { minLength: 1, maxLength: 3 }), (seed, mutations) => {
      const { anchors, expected } = seeds[seed] as (typeof seeds)[number]
      try {
        const request = tpm2.parseCredentialRequest?.(
          mutateJson(requests[seed] as Record<string, Json>, mutations, requests),
        )
        request?.challenge(anchors, { now: expected.now, random: (length) => Buffer.alloc(length, 7) })
      } catch (error) {
        if (!(error instanceof ProtocolError) || !error.code.startsWith('evidence_')) throw error
      }
    }),
    { numRuns: Math.ceil(numRuns / 10) },
  )
})
