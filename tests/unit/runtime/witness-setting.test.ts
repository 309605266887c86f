import { describe, expect, it } from 'vitest'
import { toBase64Padded } from '../../../protocol/encoding.ts'
import { formatVerifierKey, verifierKey } from '../../../protocol/log/verifier-key.ts'
import { choosePrimitives } from '../../../protocol/primitives/choose.ts'
import { ConfigError, loadConfig } from '../../../runtime/config.ts'
import { openWitnesses } from '../../../workers/sequencer/open-witnesses.ts'

const crypto = await choosePrimitives()
const origin = 'qflare.local/audit'
const vkey = makeKey('witness.example/w1')

function makeKey(name: string, kind: 'cosignature' | 'mlDsa87' = 'cosignature'): string {
  const alg = kind === 'cosignature' ? 'ML-DSA-44' : 'ML-DSA-87'
  const { publicKey } = crypto.importSigningKey(alg, crypto.randomBytes(32))
  return formatVerifierKey(verifierKey(crypto, name, kind, publicKey))
}

function witnessesOf(setting: string) {
  return loadConfig({ QFLARE_WITNESSES: setting }).audit.witnesses
}

function problemsOf(work: () => unknown): readonly string[] {
  try {
    work()
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

describe('QFLARE_WITNESSES', () => {
  it('names witnesses by key and URL, and none by default', () => {
    const second = makeKey('other.example')
    expect(witnessesOf(`${vkey}@https://witness.example/log/, ${second}@http://127.0.0.1:8475`)).toEqual([
      { vkey, url: 'https://witness.example/log' },
      { vkey: second, url: 'http://127.0.0.1:8475' },
    ])
    expect(witnessesOf('')).toEqual([])
  })

  it('names at most 16', () => {
    const sixteen = Array.from({ length: 16 }, (_, at) => `${vkey}@https://witness.example/${at}`)
    expect(witnessesOf(sixteen.join())).toHaveLength(16)
    expect(problemsOf(() => witnessesOf([...sixteen, `${vkey}@https://witness.example`].join()))).toEqual([
      'QFLARE_WITNESSES: names more than 16 witnesses',
    ])
  })

  it.each(['http://localhost:1', 'http://[::1]:1', 'http://127.255.0.1', 'https://10.0.0.1:8443/w'])(
    'takes %s',
    (url) => {
      expect(witnessesOf(`${vkey}@${url}`)).toEqual([{ vkey, url }])
    },
  )

  it.each([
    'http://witness.example',
    'http://127.0.0.1.example',
    'http://10.0.0.1',
    'ftp://127.0.0.1',
    'witness.example',
    '',
    'https://user@witness.example',
    'https://user:word@witness.example',
    'https://witness.example/?a=b',
    'https://witness.example/?',
    'https://witness.example/#a',
  ])('refuses the URL %j', (url) => {
    expect(problemsOf(() => witnessesOf(`${vkey}@${url}`))).toEqual([
      expect.stringMatching(/^QFLARE_WITNESSES\.0: has no URL that begins with https/),
    ])
  })

  it.each([
    ['no key', 'https://witness.example'],
    ['an empty key', '@https://witness.example'],
    ['a key without its id', `${vkey.replace(/\+[0-9a-f]{8}\+/, '+')}@https://witness.example`],
    ['a key with a blank', `a ${vkey}@https://witness.example`],
  ])('refuses %s', (_, setting) => {
    expect(problemsOf(() => witnessesOf(setting))).toEqual([
      expect.stringMatching(/^QFLARE_WITNESSES\.0: is not a verifier key, an "@" and a URL/),
    ])
  })

  it('refuses a list without an entry', () => {
    expect(problemsOf(() => witnessesOf(','))).toEqual(['QFLARE_WITNESSES: names no witness'])
  })
})

describe('the witnesses of a log', () => {
  const url = 'https://witness.example'
  const problemOf = (...vkeys: string[]) =>
    problemsOf(() =>
      openWitnesses(
        crypto,
        vkeys.map((text) => ({ vkey: text, url })),
        origin,
      ),
    )

  it('are known by their keys', () => {
    const [witness] = openWitnesses(crypto, [{ vkey, url }], origin)
    expect(witness).toMatchObject({ url, key: { name: 'witness.example/w1', kind: 'cosignature' } })
  })

  it('cosign, under names of their own, with keys that are what their ids say', () => {
    const wrongId = vkey.replace(/\+[0-9a-f]{8}\+/, '+00000000+')
    const wrongKind = `w+00000000+${toBase64Padded(Uint8Array.of(1, 2, 3))}`
    expect(problemOf(wrongId)).toEqual([expect.stringMatching(/^QFLARE_WITNESSES\.0: .*another key than its id says/)])
    expect(problemOf(vkey, wrongKind)).toEqual([
      expect.stringMatching(/^QFLARE_WITNESSES\.1: .*of a kind that is not known/),
    ])
    expect(problemOf(makeKey('w', 'mlDsa87'))).toEqual([expect.stringMatching(/cosigns with ML-DSA-44/)])
    expect(problemOf(makeKey(origin))).toEqual([expect.stringMatching(/has the name of this log/)])
    expect(problemOf(vkey, makeKey('witness.example/w1'))).toEqual([
      expect.stringMatching(/^QFLARE_WITNESSES\.1: .*a second time/),
    ])
  })
})
