import { describe, expect, it } from 'vitest'
import {
  asSlice,
  flipBit,
  native,
  portable,
  providers,
  refusalOf,
  toHex,
  toUtf8,
} from '../../support/protocol-providers.ts'

const hex = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'))

/** AES-256 test cases 13, 14 and 16 of the GCM specification (McGrew and Viega, appendix B). */
const published = [
  {
    key: '00'.repeat(32),
    nonce: '00'.repeat(12),
    plaintext: '',
    additionalData: '',
    sealed: '530f8afbc74536b9a963b4f1c4cb738b',
  },
  {
    key: '00'.repeat(32),
    nonce: '00'.repeat(12),
    plaintext: '00'.repeat(16),
    additionalData: '',
    sealed: 'cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919',
  },
  {
    key: 'feffe9928665731c6d6a8f9467308308'.repeat(2),
    nonce: 'cafebabefacedbaddecaf888',
    plaintext:
      'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39',
    additionalData: 'feedfacedeadbeeffeedfacedeadbeefabaddad2',
    sealed:
      '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662' +
      '76fc6ece0f4e1768cddf8853bb2d551b',
  },
]

describe.each(providers)('AES-256-GCM on $provider', (crypto) => {
  const key = crypto.hash256(toUtf8('key'))
  const nonce = new Uint8Array(12).fill(3)
  const plaintext = toUtf8('what nobody else may read')
  const data = toUtf8('what it is for')
  const sealed = crypto.sealAesGcm(key, nonce, plaintext, data)
  const refused = { code: 'ciphertext_invalid', message: 'The ciphertext is not what was sealed.' }

  it.each(published)('seals and opens as published: $sealed', (one) => {
    const [k, n, p, a] = [one.key, one.nonce, one.plaintext, one.additionalData].map(hex) as [
      ...[Uint8Array, Uint8Array],
      ...[Uint8Array, Uint8Array],
    ]
    expect(toHex(crypto.sealAesGcm(k, n, p, a))).toBe(one.sealed)
    expect(toHex(crypto.openAesGcm(k, n, hex(one.sealed), a))).toBe(one.plaintext)
  })

  it('puts 16 bytes behind the ciphertext', () => {
    expect(sealed.length).toBe(plaintext.length + 16)
    expect(toHex(crypto.openAesGcm(key, nonce, sealed, data))).toBe(toHex(plaintext))
  })

  it('opens nothing of which one bit is another', () => {
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      expect(refusalOf(() => crypto.openAesGcm(key, nonce, flipBit(sealed, bit), data))).toEqual(refused)
    }
  })

  it('opens nothing under another key, nonce or purpose', () => {
    expect(refusalOf(() => crypto.openAesGcm(flipBit(key, 0), nonce, sealed, data))).toEqual(refused)
    expect(refusalOf(() => crypto.openAesGcm(key, flipBit(nonce, 95), sealed, data))).toEqual(refused)
    for (const other of [new Uint8Array(0), data.subarray(1), flipBit(data, 3), Buffer.concat([data, data])]) {
      expect(refusalOf(() => crypto.openAesGcm(key, nonce, sealed, other))).toEqual(refused)
    }
  })

  it('opens nothing that was cut or lengthened', () => {
    for (let length = 0; length < sealed.length; length++) {
      expect(refusalOf(() => crypto.openAesGcm(key, nonce, sealed.subarray(0, length), data))).toEqual(refused)
      expect(refusalOf(() => crypto.openAesGcm(key, nonce, sealed.subarray(length + 1), data))).toEqual(refused)
    }
    expect(refusalOf(() => crypto.openAesGcm(key, nonce, Buffer.concat([sealed, hex('00')]), data))).toEqual(refused)
  })

  it('opens nothing whose tag was cut to 4 or 8 bytes, which a shorter message could pass off', () => {
    for (const [plain, kept] of [
      [8, 4],
      [0, 8],
    ] as const) {
      const cut = crypto.sealAesGcm(key, nonce, new Uint8Array(plain), data).subarray(0, plain + kept)
      expect(refusalOf(() => crypto.openAesGcm(key, nonce, cut, data))).toEqual(refused)
    }
  })

  it('seals under a key of 32 bytes and a nonce of 12 only: it is no other AES, and no other GCM', () => {
    for (const size of [0, 16, 24, 31, 33, 64]) {
      const wrong = new Uint8Array(size)
      expect(refusalOf(() => crypto.sealAesGcm(wrong, nonce, plaintext, data)).code, `key of ${size}`).toBe(
        'key_invalid',
      )
    }
    for (const size of [0, 8, 11, 13, 16]) {
      const wrong = new Uint8Array(size)
      expect(refusalOf(() => crypto.sealAesGcm(key, wrong, plaintext, data)).code, `nonce of ${size}`).toBe(
        'key_invalid',
      )
    }
  })

  it('reads slices of a larger buffer as their own bytes, and leaves them as they were', () => {
    const slices = [key, nonce, plaintext, data].map(asSlice) as [Buffer, Buffer, Buffer, Buffer]
    expect(toHex(crypto.sealAesGcm(...slices))).toBe(toHex(sealed))
    const sealedSlice = asSlice(sealed)
    expect(toHex(crypto.openAesGcm(slices[0], slices[1], sealedSlice, slices[3]))).toBe(toHex(plaintext))
    expect([...slices, sealedSlice].map(toHex)).toEqual([key, nonce, plaintext, data, sealed].map(toHex))
  })
})

describe('AES-256-GCM on both providers', () => {
  it('gives the same bytes for every length around a block', () => {
    for (const length of [0, 1, 15, 16, 17, 31, 32, 33, 1000, 4096]) {
      const [key, nonce] = [native.randomBytes(32), native.randomBytes(12)]
      const [plaintext, data] = [native.randomBytes(length), native.randomBytes(length)]
      const sealed = native.sealAesGcm(key, nonce, plaintext, data)
      expect(toHex(portable.sealAesGcm(key, nonce, plaintext, data))).toBe(toHex(sealed))
      expect(toHex(portable.openAesGcm(key, nonce, sealed, data))).toBe(toHex(plaintext))
    }
  })
})
