import { describe, expect, it } from 'vitest'
import { toBase64Padded } from '../../../../protocol/encoding.ts'
import {
  type Checkpoint,
  checkpointBody,
  cosignatureLine,
  cosignedMessage,
  parseCheckpointBody,
} from '../../../../protocol/log/checkpoint.ts'
import { parseNote } from '../../../../protocol/log/signed-note.ts'
import { native as crypto, refusalOf, toHex } from '../../../support/protocol-providers.ts'

const root = Uint8Array.from({ length: 32 }, (_, index) => 251 - index)
const checkpoint: Checkpoint = { origin: 'test.example/audit', size: 20_852_163, root }
const body = checkpointBody(checkpoint)
const base64 = toBase64Padded(root)

describe('the body of a checkpoint', () => {
  it('is three lines', () => {
    expect(body).toBe(`test.example/audit\n20852163\n${base64}\n`)
  })

  it('of the example of C2SP tlog-checkpoint is read', () => {
    const text = `example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
`
    const parsed = parseCheckpointBody(parseNote(text).body)
    expect({ ...parsed, root: toHex(parsed.root) }).toEqual({
      origin: 'example.com/behind-the-sofa',
      size: 20_852_163,
      root: '0ac5186a91863e8e1d90c808014aa89bf5da8e3ee1d9f07630f0378f68f1ab62',
    })
  })

  it.each([0, 1, 10, 2 ** 32, Number.MAX_SAFE_INTEGER])('may have size %d, and is read as it was written', (size) => {
    const parsed = parseCheckpointBody(checkpointBody({ ...checkpoint, size }))
    expect({ ...parsed, root: toHex(parsed.root) }).toEqual({ ...checkpoint, size, root: toHex(root) })
  })

  const withSize = (size: string) => body.replace('20852163', size)
  it.each([
    ['nothing', ''],
    ['no origin', body.slice('test.example/audit'.length)],
    ['an origin with a space', body.replace('/', ' ')],
    ['an origin with a plus', body.replace('/', '+')],
    ['an origin of 256 bytes', `${'x'.repeat(256)}\n1\n${base64}\n`],
    ['an origin with a control character', body.replace('/', '\u0007')],
    ['an empty line before it', `\n${body}`],
    ['an extension line', `${body}extension\n`],
    ['an empty line behind it', `${body}\n`],
    ['no final newline', body.slice(0, -1)],
    ['CRLF', body.replaceAll('\n', '\r\n')],
    ['no size', withSize('')],
    ['a leading zero', withSize('020852163')],
    ['size 00', withSize('00')],
    ['size +1', withSize('+1')],
    ['size -1', withSize('-1')],
    ['size 1.0', withSize('1.0')],
    ['size 1e3', withSize('1e3')],
    ['size 0x10', withSize('0x10')],
    ['size 1 and a space', withSize('1 ')],
    ['size ١', withSize('\u0661')],
    ['size 2^53', withSize('9007199254740992')],
    ['size 2^64', withSize('18446744073709551616')],
    ['a root of 31 bytes', `a\n1\n${toBase64Padded(root.subarray(1))}\n`],
    ['a root of 33 bytes', `a\n1\n${toBase64Padded(Uint8Array.of(...root, 0))}\n`],
    ['a root without padding', `a\n1\n${base64.slice(0, -1)}\n`],
    ['a root with bits behind its last byte', `a\n1\n${base64.slice(0, -2)}${nextDigit(base64.at(-2))}=\n`],
    ['a root in base64url', `a\n1\n${base64.replaceAll('+', '-').replaceAll('/', '_')}\n`],
    ['no root', 'a\n1\n'],
    ['its lines in another order', `a\n${base64}\n1\n`],
  ])('with %s is refused', (_, text) => {
    expect(refusalOf(() => parseCheckpointBody(text))).toEqual({
      code: 'log_invalid',
      message: 'This is no checkpoint.',
    })
  })

  it('is not written for an origin that no note can hold', () => {
    for (const origin of ['', 'a b', 'a\nb', 'a+b', 'a\0b', 'a\ud800', 'x'.repeat(256)]) {
      expect(refusalOf(() => checkpointBody({ ...checkpoint, origin })).code).toBe('log_invalid')
    }
  })
})

describe('what a cosignature signs', () => {
  it('is the struct of C2SP tlog-cosignature, byte for byte', () => {
    const hex = [
      // label[12]: "subtree/v1\n\0"
      '737562747265652f76310a00',
      // cosigner_name<1..2^8-1>: 12 bytes, "wítness.exa" in UTF-8
      '0c',
      '77c3ad746e6573732e657861',
      // timestamp: 1679315147
      '00000000641850cb',
      // log_origin<1..2^8-1>: 18 bytes
      '12',
      '746573742e6578616d706c652f6175646974',
      // start
      '0000000000000000',
      // end: 20852163
      '00000000013e2dc3',
      // hash[32]
      'fbfaf9f8f7f6f5f4f3f2f1f0efeeedecebeae9e8e7e6e5e4e3e2e1e0dfdedddc',
    ]
    expect(toHex(cosignedMessage('wítness.exa', 1_679_315_147, checkpoint))).toBe(hex.join(''))
  })

  it('has eight bytes for a size and for a time', () => {
    const message = toHex(cosignedMessage('w', 2 ** 40 + 1, { origin: 'o', size: 2 ** 53 - 1, root }))
    expect(message).toBe(
      `737562747265652f76310a0001770000010000000001016f0000000000000000001fffffffffffff${toHex(root)}`,
    )
  })

  it('stands in its line as key id, time and signature', () => {
    const key = crypto.importSigningKey('ML-DSA-44', new Uint8Array(32))
    const by = { name: 'w', kind: 'cosignature', keyId: Uint8Array.of(1, 2, 3, 4), key } as const
    const verifier = { ...by, key: crypto.importVerificationKey('ML-DSA-44', key.publicKey) }
    const line = cosignatureLine(verifier, 1_679_315_147, Uint8Array.of(0xaa, 0xbb))
    expect(line).toBe(`— w ${Buffer.from('0102030400000000641850cbaabb', 'hex').toString('base64')}`)
  })
})

/** The last digit of 32 bytes has four bits of them and two that are zero. */
function nextDigit(digit: string | undefined): string {
  return String.fromCharCode((digit ?? '').charCodeAt(0) + 1)
}
