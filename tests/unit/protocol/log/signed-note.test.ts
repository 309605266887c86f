import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromBase64Padded } from '../../../../protocol/encoding.ts'
import {
  formatNote,
  formatSignatureLine,
  isKeyName,
  noteKeyId,
  parseNote,
  parseSignatureLine,
} from '../../../../protocol/log/signed-note.ts'
import { providers, refusalOf, toHex, toUtf8 } from '../../../support/protocol-providers.ts'

// The example of C2SP signed-note.
const example = `Ognuno sta solo sul cuor della terra
trafitto da un raggio di sole:

ed è subito sera.

— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=
`
const keyId = Uint8Array.of(1, 2, 3, 4)
const line = formatSignatureLine('a.example', keyId, toUtf8('signature'))
const note = formatNote('body\n', [line])

describe('a signed note', () => {
  it('of C2SP is read: its body ends before its last empty line, and each signature has a name and a key id', () => {
    const { body, signatures } = parseNote(example)
    expect(body).toBe('Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n')
    expect(signatures.map(({ name, keyId: id, signature }) => [name, toHex(id), signature.length])).toEqual([
      ['quasimodo.example/salvatore', '367ba04b', 64],
    ])
    expect(
      formatNote(
        body,
        signatures.map((one) => one.line),
      ),
    ).toBe(example)
  })

  it('is read as it was written', () => {
    const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter(isKeyName)
    const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: 60 })
    const signature = fc.tuple(name, fc.uint8Array({ minLength: 4, maxLength: 4 }), bytes(1))
    const text = fc.array(fc.string({ unit: 'grapheme' }).map((one) => one.replaceAll(/\p{Cc}/gu, '')))
    fc.assert(
      fc.property(text, fc.array(signature, { minLength: 1, maxLength: 32 }), (bodyLines, given) => {
        const body = `${bodyLines.join('\n')}\n`
        const lines = given.map((one) => formatSignatureLine(...one))
        const parsed = parseNote(formatNote(body, lines))
        expect(parsed.body).toBe(body)
        expect(parsed.signatures.map((one) => [one.name, toHex(one.keyId), toHex(one.signature), one.line])).toEqual(
          given.map(([by, id, made], index) => [by, toHex(id), toHex(made), lines[index]]),
        )
      }),
    )
  })

  it.each([
    ['nothing', ''],
    ['a newline', '\n'],
    ['two newlines', '\n\n'],
    ['no final newline', note.slice(0, -1)],
    ['another character for its final newline', `${note.slice(0, -1)}x`],
    ['no signature', 'body\n\n'],
    ['no empty line', `body\n${line}\n`],
    ['an empty line at the end', `${note}\n`],
    ['an empty line between signatures', `${note}\n${note.replace('body\n\n', '')}x`],
    ['CRLF', note.replaceAll('\n', '\r\n')],
    ['one CR', note.replace('body', 'bo\rdy')],
    ['a tab', note.replace('body', 'bo\tdy')],
    ['a NUL', note.replace('body', 'bo\0dy')],
    ['DEL', note.replace('body', 'bo\u007fdy')],
    ['a C1 control character', note.replace('body', 'bo\u0085dy')],
    ['a lone surrogate', note.replace('body', 'bo\ud800dy')],
    ['a lone surrogate in a name', note.replace('a.example', 'a.\udc00example')],
    ['33 signatures', formatNote('body\n', Array<string>(33).fill(line))],
    ['more than 256 Ki characters', `${'x'.repeat(256 << 10)}\n\n${line}\n`],
  ])('with %s is refused', (_, text) => {
    expect(refusalOf(() => parseNote(text)).code).toBe('log_invalid')
  })

  it('may have 32 signatures', () => {
    expect(parseNote(formatNote('body\n', Array<string>(32).fill(line))).signatures).toHaveLength(32)
  })
})

describe('a signature line', () => {
  const [, , base64 = ''] = line.split(' ')

  it.each([
    ['a hyphen for the dash', `- a.example ${base64}`],
    ['an en dash', `\u2013 a.example ${base64}`],
    ['two dashes', `\u2014\u2014 a.example ${base64}`],
    ['no dash', `a.example ${base64}`],
    ['no space after the dash', `\u2014a.example ${base64}`],
    ['two spaces after the dash', `\u2014  a.example ${base64}`],
    ['a no-break space', `\u2014\u00a0a.example ${base64}`],
    ['no name', `\u2014  ${base64}`],
    ['a space before the dash', ` \u2014 a.example ${base64}`],
    ['a space at the end', `${line} `],
    ['something behind it', `${line} x`],
    ['a plus in the name', `\u2014 a+b.example ${base64}`],
    ['an ideographic space in the name', `\u2014 a\u3000b.example ${base64}`],
    ['no base64', '\u2014 a.example '],
    ['nothing behind the name', '\u2014 a.example'],
    ['base64 without its padding', `\u2014 a.example ${'AAAAAAA'}`],
    ['base64 with bits behind the last byte', '\u2014 a.example AAAAAAB='],
    ['base64 with a newline', '\u2014 a.example AAAA\nAAAA'],
    ['base64url', '\u2014 a.example AAAA-_AA'],
    ['a key id alone', '\u2014 a.example AAAAAA=='],
    ['less than a key id', '\u2014 a.example AAAA'],
  ])('with %s is refused', (_, text) => {
    expect(refusalOf(() => parseSignatureLine(text)).code).toBe('log_invalid')
  })

  it('has a key id and at least one byte more', () => {
    const { name, keyId: id, signature } = parseSignatureLine('\u2014 a.example AAAAAAA=')
    expect([name, toHex(id), toHex(signature)]).toEqual(['a.example', '00000000', '00'])
  })
})

describe('a key name', () => {
  it.each(['a', 'example.com/log42', 'é', '—', 'x'.repeat(255), 'é'.repeat(127), '\u{1f512}'])('may be %j', (name) => {
    expect(isKeyName(name)).toBe(true)
  })

  it.each([
    '',
    ' ',
    'a b',
    'a+b',
    'a\n',
    'a\tb',
    'a\u00a0b',
    'a\u2028b',
    'a\ufeffb',
    'a\u202eb',
    'a\u200bb',
    'a\u00adb',
    'a\0b',
    'a\u001bb',
    'a\u007fb',
    'a\u0085b',
    'a\ud800',
    '\udc00a',
    'x'.repeat(256),
    'é'.repeat(128),
  ])('may not be %j', (name) => {
    expect(isKeyName(name)).toBe(false)
  })
})

describe.each(providers)('with $provider a key id', (crypto) => {
  it('is that of a verifier key of the Go checksum database', () => {
    const [name, id, key] = 'sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8'.split(
      /\+(.+?)\+(.*)/,
    )
    expect(toHex(noteKeyId(crypto, name ?? '', fromBase64Padded(key ?? '')))).toBe(id)
  })

  it('is bound to the name, the kind and the key', () => {
    const of = (name: string, ...bytes: number[]) => toHex(noteKeyId(crypto, name, Uint8Array.from(bytes)))
    const ids = [of('a', 1, 2), of('b', 1, 2), of('a', 1, 3), of('a', 2, 2), of('a', 1, 2, 0), of('a\n', 1, 2)]
    expect(new Set(ids).size).toBe(ids.length)
  })
})
