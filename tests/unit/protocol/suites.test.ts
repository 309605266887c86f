import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  signatureAlgorithmNames,
  signatureAlgorithms,
  signatureContexts,
  suiteNames,
  suites,
} from '../../../protocol/suites.ts'

const root = join(import.meta.dirname, '..', '..', '..')
const sources = globSync('protocol/**/*.ts', { cwd: root })
  .sort()
  .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }))

/** The first part of every `E(…)`, each written in exactly one place: `<file>: <label>`. */
const labels = [
  'protocol/attestation/evidence-bundle.ts: QFLARE-v1 activation secret',
  'protocol/attestation/messages.ts: QFLARE-v1 reattest',
  'protocol/enrollment.ts: QFLARE-v1 attest',
  'protocol/enrollment.ts: QFLARE-v1 enroll',
  'protocol/enrollment.ts: QFLARE-v1 evidence',
  'protocol/exchange/bucket.ts: QFLARE-v1 bucket',
  'protocol/exchange/epochs.ts: QFLARE-v1 comm',
  'protocol/exchange/epochs.ts: QFLARE-v1 ratchet',
  'protocol/exchange/epochs.ts: QFLARE-v1 token',
  'protocol/exchange/epochs.ts: round',
  'protocol/exchange/key-schedule.ts: QFLARE-v1 chain',
  'protocol/exchange/key-schedule.ts: QFLARE-v1 confirm',
  'protocol/exchange/key-schedule.ts: QFLARE-v1 device confirm',
  'protocol/exchange/key-schedule.ts: QFLARE-v1 server confirm',
  'protocol/exchange/transcript.ts: QFLARE-v1 initiate',
  'protocol/exchange/transcript.ts: QFLARE-v1 respond',
  'protocol/hedge.ts: QFLARE-v1 hedge',
  'protocol/hedge.ts: QFLARE-v1 hedge encapsulation',
  'protocol/hedge.ts: QFLARE-v1 hedge identity',
  'protocol/hedge.ts: QFLARE-v1 hedge key',
  'protocol/identity-rotation.ts: QFLARE-v1 rotate',
  'protocol/key-id.ts: QFLARE-v1 kid',
  'protocol/rounds/round-certificate.ts: QFLARE-v1 round',
  'protocol/rounds/round-certificate.ts: QFLARE-v1 round commitment',
  'protocol/rounds/sealed-round-keys.ts: round keys',
  'protocol/trust.ts: QFLARE-v1 trust',
]

describe('signature contexts', () => {
  it('are these, each for one purpose', () => {
    expect(signatureContexts).toEqual({
      bucket: 'QFLARE-v1 bucket',
      enroll: 'QFLARE-v1 enroll',
      exchange: 'QFLARE-v1 exchange',
      rotate: 'QFLARE-v1 rotate',
      reattest: 'QFLARE-v1 reattest',
      trust: 'QFLARE-v1 trust',
      checkpoint: 'QFLARE-v1 checkpoint',
      round: 'QFLARE-v1 round',
      empty: '',
    })
    expect(new Set(Object.values(signatureContexts)).size).toBe(Object.keys(signatureContexts).length)
  })

  it('are ASCII and at most 255 bytes, so that every library signs the same bytes (FIPS 204 §5.2)', () => {
    for (const context of Object.values(signatureContexts)) expect(context).toMatch(/^[\x20-\x7e]{0,255}$/)
  })

  it('all stand in docs/protocol.md', () => {
    const contract = readFileSync(join(root, 'docs/protocol.md'), 'utf8')
    const missing = Object.values(signatureContexts).filter((context) => !contract.includes(context))
    expect(missing).toEqual([])
  })
})

describe('labels', () => {
  const used = sources.flatMap(({ path, text }) =>
    [...text.matchAll(/(?<!\.)\bencode\(\s*'([^']*)'/g)].map(([, label]) => `${path}: ${label}`),
  )

  it('of encoded lists are these, each written once', () => {
    expect(used.sort()).toEqual([...labels].sort())
    const names = labels.map((label) => label.split(': ')[1])
    expect(new Set(names).size).toBe(names.length)
  })

  it('and contexts are the only places where the protocol names itself', () => {
    const written = sources.flatMap(({ path, text }) =>
      [...text.matchAll(/QFLARE-v\d+[^'"`]*/g)].map(([label]) => `${path}: ${label}`),
    )
    const contexts = Object.values(signatureContexts)
      .filter((context) => context !== '')
      .map((context) => `protocol/suites.ts: ${context}`)
    const named = labels.filter((label) => label.includes('QFLARE-v'))
    expect(written.sort()).toEqual([...named, ...contexts].sort())
  })

  it('all stand in docs/protocol.md', () => {
    const contract = readFileSync(join(root, 'docs/protocol.md'), 'utf8')
    const missing = labels.filter((label) => !contract.includes(`"${label.split(': ')[1]}"`))
    expect(missing).toEqual([])
  })
})

describe('the tables', () => {
  it('have the lengths of FIPS 203 table 3', () => {
    expect(suites).toEqual({
      'ML-KEM-1024': { encapsulationKeyBytes: 1568, ciphertextBytes: 1568, sharedSecretBytes: 32, seedBytes: 64 },
    })
    expect(suiteNames).toEqual(['ML-KEM-1024'])
  })

  it('have the lengths of FIPS 204 table 2', () => {
    expect(signatureAlgorithms).toEqual({
      'ML-DSA-44': { publicKeyBytes: 1312, signatureBytes: 2420, seedBytes: 32, category: 2 },
      'ML-DSA-65': { publicKeyBytes: 1952, signatureBytes: 3309, seedBytes: 32, category: 3 },
      'ML-DSA-87': { publicKeyBytes: 2592, signatureBytes: 4627, seedBytes: 32, category: 5 },
    })
    expect(signatureAlgorithmNames).toEqual(['ML-DSA-44', 'ML-DSA-65', 'ML-DSA-87'])
  })
})
