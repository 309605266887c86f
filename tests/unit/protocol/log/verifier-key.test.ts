import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { toBase64Padded } from '../../../../protocol/encoding.ts'
import { formatVerifierKey, parseVerifierKey, verifierKey } from '../../../../protocol/log/verifier-key.ts'
import { makeSigner } from '../../../support/memory-log.ts'
import { flipBit, providers, refusalOf, toHex } from '../../../support/protocol-providers.ts'

const NAME = 'fleet.example/audit'

describe.each(providers)('with $provider a verifier key', (crypto) => {
  const [cosigner, strong] = [makeSigner(crypto, 'cosignature', NAME), makeSigner(crypto, 'mlDsa87', NAME)]
  const bytesOf = (vkey: string) => Buffer.from(vkey.split(/\+(.{8})\+(.*)/)[2] ?? '', 'base64')
  const written = (name: string, bytes: Uint8Array, id = idOf(name, bytes)) => `${name}+${id}+${toBase64Padded(bytes)}`

  it.each([
    ['cosignature', 'ML-DSA-44', cosigner, '06'],
    ['mlDsa87', 'ML-DSA-87', strong, `ff${Buffer.from('qflare/v1/ml-dsa-87').toString('hex')}`],
  ] as const)('of kind %s is its name, key id, kind and %s key, as C2SP writes it', (kind, alg, { by, vkey }, type) => {
    const bytes = Buffer.from(type + toHex(by.key.publicKey), 'hex')
    expect(vkey).toBe(written(NAME, bytes))
    const parsed = parseVerifierKey(crypto, vkey)
    expect([parsed.name, parsed.kind, toHex(parsed.keyId), parsed.key.alg]).toEqual([
      NAME,
      kind,
      idOf(NAME, bytes),
      alg,
    ])
    expect(toHex(parsed.key.publicKey)).toBe(toHex(by.key.publicKey))
    expect(formatVerifierKey(parsed)).toBe(vkey)
  })

  it('may stand between white space, as in a file', () => {
    expect(formatVerifierKey(parseVerifierKey(crypto, `\n ${cosigner.vkey}\r\n`))).toBe(cosigner.vkey)
  })

  const bytes = bytesOf(cosigner.vkey)
  const [, id = '', base64 = ''] = cosigner.vkey.split(/\+(.{8})\+(.*)/)
  it.each<[string, string]>([
    ['nothing', ''],
    ['its name alone', NAME],
    ['no key', `${NAME}+${id}+`],
    ['no name', `+${id}+${base64}`],
    ['a name with white space', written('fleet example', bytes)],
    ['a name with a newline', written('fleet\nexample', bytes)],
    ['a name with a control character', written('fleet\u0001', bytes)],
    ['a name with a plus', written('fleet+example', bytes)],
    ['a name with a lone surrogate', written('fleet\ud800', bytes)],
    ['a name of 256 bytes', written('x'.repeat(256), bytes)],
    ['another key id', written(NAME, bytes, id === '00000000' ? '00000001' : '00000000')],
    ['the key id of another name', written('other.example', bytes, id)],
    ['another key under its id', written(NAME, flipBit(bytes, 800), id)],
    ['a key id in capitals', written(NAME, bytes, 'ABCDEF00')],
    ['a short key id', `${NAME}+${id.slice(1)}+${base64}`],
    ['base64 without its padding', `${NAME}+${id}+${base64}=`],
    ['base64 that is too short by one', `${NAME}+${id}+${base64.slice(0, -1)}`],
    ['base64 with bits behind the last byte', `${NAME}+${id}+${base64}AB==`],
    ['a key that is too long', written(NAME, Buffer.concat([bytes, Buffer.of(0)]))],
    ['a key that is too short', written(NAME, bytes.subarray(0, -1))],
    ['an all-zero key', written(NAME, Buffer.concat([Buffer.of(6), Buffer.alloc(1312)]))],
    ['an Ed25519 key', written(NAME, Buffer.concat([Buffer.of(1), Buffer.alloc(32, 7)]))],
    ['an Ed25519 cosigner’s key', written(NAME, Buffer.concat([Buffer.of(4), Buffer.alloc(32, 7)]))],
    ['a key of kind 0xFF that is another’s', written(NAME, Buffer.concat([Buffer.of(0xff), bytes.subarray(1)]))],
    ['the kind of ML-DSA-87 before a key of ML-DSA-44', written(NAME, withKindOf87(bytes.subarray(1)))],
    ['the kind alone', written(NAME, Buffer.of(6))],
  ])('with %s is refused', (_, text) => {
    expect(refusalOf(() => parseVerifierKey(crypto, text)).code).toBe('key_invalid')
  })

  it('is not made for a name that no note can hold', () => {
    const make = () => verifierKey(crypto, 'a b', 'cosignature', cosigner.by.key.publicKey)
    expect(refusalOf(make)).toEqual({ code: 'log_invalid', message: 'A note cannot hold the key name a b.' })
  })
})

function withKindOf87(key: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(0xff), Buffer.from('qflare/v1/ml-dsa-87'), key])
}

/** C2SP signed-note: SHA-256(name ‖ 0x0A ‖ kind ‖ key)[:4], in hex. */
function idOf(name: string, kindAndKey: Uint8Array): string {
  return createHash('sha256').update(`${name}\n`).update(kindAndKey).digest('hex').slice(0, 8)
}
