import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatTlogProof, parseTlogProof, verifyTlogProof } from '../../../../protocol/log/tlog-proof.ts'
import { makeEntry, makeMemoryLog, makeSigner, ORIGIN } from '../../../support/memory-log.ts'
import { providers, refusalOf, toHex, toUtf8 } from '../../../support/protocol-providers.ts'

const SIZE = 300
const INDEX = 257
const entries = Array.from({ length: SIZE }, (_, index) => makeEntry(index))
const entry = toUtf8(entries[INDEX] ?? '')

describe.each(providers)('with $provider the proof of an entry', (crypto) => {
  const signers = [makeSigner(crypto, 'cosignature'), makeSigner(crypto, 'mlDsa87')]
  const keys = { log: signers.map(({ by }) => by) }
  const log = makeMemoryLog(crypto, entries, signers)
  const text = log.proofText(INDEX)
  const refused = (proof: string, of = entry, by = keys) => refusalOf(() => verifyTlogProof(crypto, proof, of, by))
  const [, , first = '', second = ''] = text.split('\n')

  it('is the text of C2SP tlog-proof: its index, the hashes from the leaf’s sibling up, and the checkpoint as it was signed', () => {
    const hashes = log.proof(INDEX, SIZE).map((hash) => Buffer.from(hash).toString('base64'))
    expect(text).toBe(`c2sp.org/tlog-proof@v1\nindex 257\n${hashes.join('\n')}\n\n${log.checkpoint()}`)
  })

  it('verifies with the keys of the log alone', () => {
    const { index, checkpoint } = verifyTlogProof(crypto, text, entry, keys)
    expect([index, checkpoint.origin, checkpoint.size, toHex(checkpoint.root)]).toEqual([
      INDEX,
      ORIGIN,
      SIZE,
      toHex(log.root(SIZE)),
    ])
  })

  it('is read as it was written', () => {
    const hash = fc.uint8Array({ minLength: 32, maxLength: 32 })
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.array(hash, { maxLength: 53 }), (index, hashes) => {
        const parsed = parseTlogProof(formatTlogProof({ index, hashes, checkpoint: 'as\n\nit is' }))
        expect([parsed.index, parsed.hashes.map(toHex), parsed.checkpoint]).toEqual([
          index,
          hashes.map(toHex),
          'as\n\nit is',
        ])
      }),
    )
  })

  it('of the only entry has no hash', () => {
    const one = makeMemoryLog(crypto, entries.slice(0, 1), signers)
    expect(one.proofText(0)).toMatch(/^c2sp\.org\/tlog-proof@v1\nindex 0\n\ntest\.example\/audit\n1\n/)
    expect(verifyTlogProof(crypto, one.proofText(0), toUtf8(entries[0] ?? ''), keys).index).toBe(0)
  })

  it('may carry extra data, which says nothing', () => {
    const withExtra = text.replace('index', 'extra c29tZXRoaW5n\nindex')
    expect(verifyTlogProof(crypto, withExtra, entry, keys).index).toBe(INDEX)
    expect(refused(text.replace('index', 'extra AAAA\nextra AAAA\nindex')).message).toBe('The proof has no index.')
  })

  it('is refused for any other entry, even one with a space more', () => {
    for (const other of [entries[INDEX - 1] ?? '', `${entries[INDEX] ?? ''} `, '']) {
      expect(refused(text, toUtf8(other))).toEqual({
        code: 'log_invalid',
        message: `Entry ${INDEX} is not what the tree of ${SIZE} holds.`,
      })
    }
  })

  it.each<[string, string]>([
    ['nothing', ''],
    ['no header', text.slice(text.indexOf('\n') + 1)],
    ['another version', text.replace('@v1', '@v2')],
    ['a space behind the header', text.replace('@v1', '@v1 ')],
    ['a byte order mark', `\ufeff${text}`],
    ['CRLF', text.replaceAll('\n', '\r\n')],
    ['no index', text.replace('index 257\n', '')],
    ['another index', text.replace('257', '256')],
    ['an index behind the end', text.replace('257', '300')],
    ['an index with a leading zero', text.replace('257', '0257')],
    ['a negative index', text.replace('257', '-1')],
    ['an index of 2^53', text.replace('257', '9007199254740992')],
    ['an index that is no integer', text.replace('257', '257.0')],
    ['two spaces before the index', text.replace('index ', 'index  ')],
    ['extra data behind the index', text.replace('index 257', 'index 257\nextra AAAA')],
    ['a hash less', text.replace(`${first}\n`, '')],
    ['a hash twice', text.replace(first, `${first}\n${first}`)],
    ['two hashes changed for each other', text.replace(`${first}\n${second}`, `${second}\n${first}`)],
    ['a hash of 31 bytes', text.replace(first, Buffer.alloc(31, 1).toString('base64'))],
    ['a hash of 33 bytes', text.replace(first, Buffer.alloc(33, 1).toString('base64'))],
    ['a hash without its padding', text.replace(first, first.slice(0, -1))],
    ['a hash with a space', text.replace(first, `${first} `)],
    ['54 hashes', text.replace(first, Array<string>(54).fill(first).join('\n'))],
    ['an empty line between hashes', text.replace(first, `${first}\n`)],
    ['no empty line', text.replace('\n\n', '\n')],
    ['no checkpoint', text.slice(0, text.indexOf('\n\n') + 2)],
    ['the checkpoint of a smaller tree', text.replace(log.checkpoint(), log.checkpoint(SIZE - 1))],
    ['a checkpoint whose size was changed', text.replace(`\n${SIZE}\n`, `\n${SIZE + 1}\n`)],
    ['a checkpoint without one of its signatures', text.slice(0, text.lastIndexOf('\u2014'))],
    ['something behind it', `${text}\n`],
  ])('with %s is refused', (_, changed) => {
    expect(changed).not.toBe(text)
    expect(refused(changed).code).toBe('log_invalid')
  })

  it('has no more hashes than a tree of 2^53 could ask for', () => {
    const tooMany = text.replace(first, Array<string>(54).fill(first).join('\n'))
    expect(refused(tooMany).message).toBe('The proof has too many hashes.')
  })

  it('that verifies for one log is refused by who knows another', () => {
    const others = [makeSigner(crypto, 'cosignature', ORIGIN, 'another log')]
    const theirs = makeMemoryLog(crypto, entries, others).proofText(INDEX)
    expect(refused(theirs).message).toBe(`No ML-DSA-44 key that is given for ${ORIGIN} signed the checkpoint.`)
    expect(refused(text, entry, { log: [makeSigner(crypto, 'cosignature', 'other.example').by] }).message).toBe(
      `The checkpoint is of ${ORIGIN}, for which no key is given.`,
    )
  })
})
