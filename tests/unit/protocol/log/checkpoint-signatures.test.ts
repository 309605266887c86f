import { describe, expect, it } from 'vitest'
import { concatenate, u64 } from '../../../../protocol/encoding.ts'
import {
  type Checkpoint,
  type CheckpointKeys,
  checkpointBody,
  cosignedMessage,
  verifyCheckpoint,
} from '../../../../protocol/log/checkpoint.ts'
import { formatNote, formatSignatureLine, parseSignatureLine } from '../../../../protocol/log/signed-note.ts'
import { signatureContexts } from '../../../../protocol/suites.ts'
import { makeSigner, ORIGIN, SIGNED_AT, signCheckpoint } from '../../../support/memory-log.ts'
import { seedOf } from '../../../support/protocol-exchange.ts'
import { flipBit, providers, refusalOf, toHex, toUtf8 } from '../../../support/protocol-providers.ts'

const checkpoint: Checkpoint = { origin: ORIGIN, size: 1_234, root: new Uint8Array(32).fill(7) }
const body = checkpointBody(checkpoint)

describe.each(providers)('with $provider a checkpoint', (crypto) => {
  const log = makeSigner(crypto, 'cosignature')
  const strong = makeSigner(crypto, 'mlDsa87')
  const next = makeSigner(crypto, 'cosignature', ORIGIN, 'next audit')
  const stranger = makeSigner(crypto, 'cosignature', 'stranger.example', 'stranger')
  const [one, other] = ['w1.example', 'w2.example'].map((name) => makeSigner(crypto, 'cosignature', name, name)) as [
    typeof log,
    typeof log,
  ]
  const keys: CheckpointKeys = { log: [log.by] }
  const bothKeys: CheckpointKeys = { log: [log.by, strong.by] }
  const signed = signCheckpoint(checkpoint, [log])
  const line = log.line(checkpoint)
  const withLine = (text: string) => formatNote(body, [text])
  const rewritten = (change: (signature: Uint8Array, keyId: Uint8Array) => Uint8Array, from = line) => {
    const { name, keyId, signature } = parseSignatureLine(from)
    return withLine(formatSignatureLine(name, keyId, change(signature, keyId)))
  }
  const refused = (text: string, by = keys) => refusalOf(() => verifyCheckpoint(crypto, text, by))
  const unsigned = {
    code: 'log_invalid',
    message: `No ML-DSA-44 key that is given for ${ORIGIN} signed the checkpoint.`,
  }
  const wrong = { code: 'log_invalid', message: `The signature of ${ORIGIN} (ML-DSA-44) does not verify.` }

  it('that its log signed is what it says, and when', () => {
    const verified = verifyCheckpoint(crypto, signed, keys)
    const { signatures, cosignatures, signedAt } = verified
    expect([verified.origin, verified.size, toHex(verified.root)]).toEqual([ORIGIN, 1_234, '07'.repeat(32)])
    expect(signedAt).toBe(SIGNED_AT * 1_000)
    expect(signatures.map(({ by, at, line: text }) => [by, at, text])).toEqual([
      [log.by, SIGNED_AT * 1_000, signed.split('\n').at(-2)],
    ])
    expect(cosignatures).toEqual([])
  })

  it.each<[string, Partial<Checkpoint>]>([
    ['origin', { origin: `${ORIGIN}x` }],
    ['size', { size: 1_235 }],
    ['root', { root: flipBit(checkpoint.root, 100) }],
  ])('with another %s than was signed is refused', (_, change) => {
    const changed = { ...checkpoint, ...change }
    const text = formatNote(checkpointBody(changed), [line])
    expect(refused(text).code).toBe('log_invalid')
    // Nor under a key that is given for that origin: it is in what was signed.
    const by = makeSigner(crypto, 'cosignature', changed.origin).by
    const { signature } = parseSignatureLine(line)
    const renamed = formatNote(checkpointBody(changed), [formatSignatureLine(by.name, by.keyId, signature)])
    expect(refused(renamed, { log: [by] }).message).toBe(
      `The signature of ${changed.origin} (ML-DSA-44) does not verify.`,
    )
  })

  it('with another time than was signed is refused', () => {
    for (const seconds of [0, SIGNED_AT - 1, SIGNED_AT + 1, SIGNED_AT + 2 ** 32]) {
      expect(refused(rewritten((signature) => concatenate([u64(seconds), signature.subarray(8)])))).toEqual(wrong)
    }
  })

  it('with a time beyond 2^53 milliseconds is refused, though it was signed', () => {
    const key = crypto.importSigningKey('ML-DSA-44', seedOf(crypto, 'audit cosignature', 32))
    for (const seconds of [2 ** 53 - 1, Math.floor(2 ** 53 / 1_000) + 1]) {
      const signature = key.sign(cosignedMessage(ORIGIN, seconds, checkpoint), signatureContexts.empty)
      expect(refused(rewritten(() => concatenate([u64(seconds), signature])))).toEqual(wrong)
    }
    const all = Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 255)
    expect(refused(rewritten((signature) => concatenate([all, signature.subarray(8)])))).toEqual(wrong)
  })

  it('whose cosignature is of a part of the tree is refused', () => {
    const key = crypto.importSigningKey('ML-DSA-44', seedOf(crypto, 'audit cosignature', 32))
    const message = cosignedMessage(ORIGIN, SIGNED_AT, checkpoint)
    const startsAt = message.length - 32 - 16
    const ofPart = concatenate([message.subarray(0, startsAt), u64(256), message.subarray(startsAt + 8)])
    const signature = key.sign(ofPart, signatureContexts.empty)
    expect(refused(rewritten(() => concatenate([u64(SIGNED_AT), signature])))).toEqual(wrong)
  })

  it('whose cosignature was signed under another name is refused', () => {
    const key = crypto.importSigningKey('ML-DSA-44', seedOf(crypto, 'audit cosignature', 32))
    const signature = key.sign(cosignedMessage('other.example', SIGNED_AT, checkpoint), signatureContexts.empty)
    expect(refused(rewritten(() => concatenate([u64(SIGNED_AT), signature])))).toEqual(wrong)
  })

  it('whose signature was made in another context is refused', () => {
    const key = crypto.importSigningKey('ML-DSA-44', seedOf(crypto, 'audit cosignature', 32))
    const signature = key.sign(cosignedMessage(ORIGIN, SIGNED_AT, checkpoint), signatureContexts.checkpoint)
    expect(refused(rewritten(() => concatenate([u64(SIGNED_AT), signature])))).toEqual(wrong)
    const strongKey = crypto.importSigningKey('ML-DSA-87', seedOf(crypto, 'audit mlDsa87', 32))
    const empty = strongKey.sign(toUtf8(body), signatureContexts.empty)
    const text = rewritten(() => empty, strong.line(checkpoint))
    expect(refused(text, { log: [strong.by] }).message).toBe(`The signature of ${ORIGIN} (ML-DSA-87) does not verify.`)
  })

  it('with a signature of another length, or one bit of it turned, is refused', () => {
    for (const change of [
      (signature: Uint8Array) => signature.subarray(0, 8),
      (signature: Uint8Array) => signature.subarray(0, 3),
      (signature: Uint8Array) => signature.subarray(0, -1),
      (signature: Uint8Array) => signature.subarray(1),
      (signature: Uint8Array) => concatenate([signature, Uint8Array.of(0)]),
      (signature: Uint8Array) => flipBit(signature, 64),
      (signature: Uint8Array) => flipBit(signature, signature.length * 8 - 1),
    ]) {
      expect(refused(rewritten(change))).toEqual(wrong)
    }
  })

  it('is refused for one wrong line of a known key, though there is a right one', () => {
    const bad =
      rewritten((signature) => flipBit(signature, 999))
        .split('\n')
        .at(-2) ?? ''
    expect(refused(formatNote(body, [line, bad]))).toEqual(wrong)
    expect(refused(formatNote(body, [bad, line]))).toEqual(wrong)
    const badWitness = one.line({ ...checkpoint, size: 1 })
    const withWitness = { ...keys, witnesses: [one.by] }
    expect(refused(formatNote(body, [line, badWitness]), withWitness).message).toBe(
      'The signature of w1.example (ML-DSA-44) does not verify.',
    )
    expect(verifyCheckpoint(crypto, formatNote(body, [line, badWitness]), keys).size).toBe(1_234)
  })

  it('may have lines of unknown keys: of another name, of another key id, of a kind that is not known', () => {
    const { name, keyId, signature } = parseSignatureLine(line)
    const lines = [
      stranger.line(checkpoint),
      formatSignatureLine(name, flipBit(keyId, 0), signature),
      formatSignatureLine('w1.example', keyId, signature),
      formatSignatureLine(name, Uint8Array.of(9, 9, 9, 9), new Uint8Array(64)),
    ]
    const verified = verifyCheckpoint(crypto, formatNote(body, [...lines, line]), keys)
    expect(verified.signatures).toHaveLength(1)
    expect(refused(formatNote(body, lines))).toEqual(unsigned)
  })

  it('is refused when only a witness signed it, or a log of another name', () => {
    const text = signCheckpoint(checkpoint, [one, stranger])
    expect(refused(text, { log: [log.by], witnesses: [one.by] })).toEqual(unsigned)
    expect(refused(text, { log: [log.by, stranger.by], witnesses: [one.by] })).toEqual(unsigned)
  })

  it('of an origin for which no key is given is refused, whoever signed it', () => {
    const foreign = signCheckpoint({ ...checkpoint, origin: 'other.example/audit' }, [log])
    const refusal = {
      code: 'log_invalid',
      message: 'The checkpoint is of other.example/audit, for which no key is given.',
    }
    expect(refused(foreign)).toEqual(refusal)
    expect(refused(signed, { log: [], witnesses: [log.by] }).message).toContain('for which no key is given')
  })

  it('has to be signed by each algorithm of which a key is given', () => {
    const both = signCheckpoint(checkpoint, [log, strong])
    const { signatures, signedAt } = verifyCheckpoint(crypto, both, bothKeys)
    expect(signatures.map(({ by, at }) => [by.key.alg, at])).toEqual([
      ['ML-DSA-44', SIGNED_AT * 1_000],
      ['ML-DSA-87', undefined],
    ])
    expect(signedAt).toBe(SIGNED_AT * 1_000)
    expect(refused(signed, bothKeys).message).toBe(
      `No ML-DSA-87 key that is given for ${ORIGIN} signed the checkpoint.`,
    )
    expect(refused(signCheckpoint(checkpoint, [strong]), bothKeys)).toEqual(unsigned)
  })

  it('is verified by the key of ML-DSA-87 alone where no other is given, and then has no time', () => {
    const { signatures, signedAt } = verifyCheckpoint(crypto, signCheckpoint(checkpoint, [log, strong]), {
      log: [strong.by],
    })
    expect(signatures.map(({ by, at }) => [by.kind, at])).toEqual([['mlDsa87', undefined]])
    expect(signedAt).toBe(0)
  })

  it('with a line of ML-DSA-87 over another body, or with one bit turned, is refused', () => {
    const message = `The signature of ${ORIGIN} (ML-DSA-87) does not verify.`
    const bad = [
      strong.line({ ...checkpoint, size: 1_235 }),
      rewritten((signature) => flipBit(signature, 5), strong.line(checkpoint))
        .split('\n')
        .at(-2) ?? '',
      rewritten((signature) => signature.subarray(1), strong.line(checkpoint))
        .split('\n')
        .at(-2) ?? '',
    ]
    for (const text of bad) expect(refused(formatNote(body, [line, text]), bothKeys).message).toBe(message)
  })

  it('is signed by the old or by the new key of one algorithm while both are given', () => {
    const rotating = { log: [log.by, next.by] }
    for (const signer of [log, next]) {
      const { signatures } = verifyCheckpoint(crypto, signCheckpoint(checkpoint, [signer]), rotating)
      expect(signatures.map(({ by }) => by)).toEqual([signer.by])
    }
    expect(refused(signCheckpoint(checkpoint, [next]))).toEqual(unsigned)
  })

  it('has one cosignature of each witness that signed, the newest, however often it stands there', () => {
    const text = formatNote(body, [
      line,
      one.line(checkpoint, SIGNED_AT + 5),
      one.line(checkpoint, SIGNED_AT + 9),
      one.line(checkpoint, SIGNED_AT + 7),
      stranger.line(checkpoint),
    ])
    const witnesses = [one.by, { ...one.by }, other.by]
    const { cosignatures } = verifyCheckpoint(crypto, text, { ...keys, witnesses })
    expect(cosignatures.map(({ by, at }) => [by.name, at])).toEqual([['w1.example', (SIGNED_AT + 9) * 1_000]])
    const both = formatNote(body, [other.line(checkpoint), line, one.line(checkpoint)])
    expect(verifyCheckpoint(crypto, both, { ...keys, witnesses }).cosignatures).toHaveLength(2)
  })

  it('has no cosignature of a witness that signed without a time, and one of two keys of one name', () => {
    const second = makeSigner(crypto, 'cosignature', one.by.name, 'second')
    const strongWitness = makeSigner(crypto, 'mlDsa87', 'w3.example', 'w3')
    const witnesses = [one.by, second.by, other.by, strongWitness.by]
    const text = formatNote(body, [
      line,
      one.line(checkpoint, SIGNED_AT),
      second.line(checkpoint, SIGNED_AT + 1),
      other.line(checkpoint, 0),
      strongWitness.line(checkpoint),
    ])
    const { cosignatures } = verifyCheckpoint(crypto, text, { ...keys, witnesses })
    expect(cosignatures.map(({ by, at }) => [by.name, at])).toEqual([[one.by.name, (SIGNED_AT + 1) * 1000]])
  })

  it('is signed in the year 9999 at the latest', () => {
    const last = 253_402_300_799
    expect(verifyCheckpoint(crypto, formatNote(body, [log.line(checkpoint, last)]), keys).signedAt).toBe(last * 1000)
    for (const later of [last + 1, 8_700_000_000_000]) {
      expect(refused(formatNote(body, [log.line(checkpoint, later)]))).toEqual(wrong)
    }
  })

  it('is as new as the newest signature of its log', () => {
    const text = formatNote(body, [log.line(checkpoint, 5), log.line(checkpoint, 9), log.line(checkpoint, 7)])
    expect(verifyCheckpoint(crypto, text, keys).signedAt).toBe(9_000)
  })

  it('with an extension line is refused: no cosignature covers it', () => {
    const text = signed.replace('\n\n', '\nextension\n\n')
    expect(refused(text)).toEqual({ code: 'log_invalid', message: 'This is no checkpoint.' })
  })
})
