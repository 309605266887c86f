// Signed notes and checkpoints of QFLARE's audit log written from docs/protocol.md §7 and the C2SP documents signed-note,
// tlog-checkpoint and tlog-cosignature alone, for independent-log-verifier.js: no code of the repository, Node's builtins.
import crypto from 'node:crypto'
import { isSame, must, sha256 } from './independent-tree.js'

export const text = (value) => Buffer.from(value, 'utf8')
function u64(n) {
  const out = Buffer.alloc(8)
  out.writeBigUInt64BE(BigInt(n))
  return out
}
/** Strict: the only accepted text is the one that encoding gives back. */
export function decode(value, encoding, length, what) {
  must(typeof value === 'string', `${what} is no text`)
  const bytes = Buffer.from(value, encoding)
  must(bytes.toString(encoding) === value, `${what} is not canonical ${encoding}`)
  must(length === undefined || bytes.length === length, `${what} has ${bytes.length} bytes, not ${length}`)
  return bytes
}
/** A size or an index in decimal, without leading zeroes; QFLARE keeps integers below 2^53. */
export function decimal(value, what) {
  must(/^(0|[1-9][0-9]*)$/.test(value), `${what} is no decimal number`)
  const n = BigInt(value)
  must(n < 2n ** 53n, `${what} is not below 2^53`)
  return n
}

// ---- C2SP signed-note, verifier keys; docs/protocol.md §7 for the kinds ------------------------------------------------
const KINDS = [
  { alg: 'ML-DSA-44', type: Buffer.of(0x06), bytes: 1312, signatureBytes: 2420, oid: '608648016503040311' },
  {
    alg: 'ML-DSA-87',
    type: Buffer.concat([Buffer.of(0xff), text('qflare/v1/ml-dsa-87')]),
    bytes: 2592,
    signatureBytes: 4627,
    oid: '608648016503040313',
  },
]

/** A raw ML-DSA key as SubjectPublicKeyInfo (RFC 9881): the algorithm by its OID, then the key as a bit string. */
function importKey({ oid, bytes }, raw) {
  must(raw.length === bytes, `a public key has ${raw.length} bytes, not ${bytes}`)
  const der = (tag, ...parts) => {
    const body = Buffer.concat(parts)
    const length = body.length < 128 ? [body.length] : [0x82, body.length >> 8, body.length & 255]
    return Buffer.concat([Buffer.of(tag, ...length), body])
  }
  const algorithm = der(0x30, der(0x06, Buffer.from(oid, 'hex')))
  const spki = der(0x30, algorithm, der(0x03, Buffer.of(0), raw))
  return crypto.createPublicKey({ key: spki, format: 'der', type: 'spki' })
}

const isKeyName = (name) => name !== '' && !/[\s+]/u.test(name) && text(name).length < 256
const keyIdOf = (name, type, raw) => sha256(text(`${name}\n`), type, raw).subarray(0, 4)

export function parseVkey(vkey) {
  const [, name, id, base64] = /^([^+]+)\+([0-9a-f]{8})\+(.*)$/.exec(vkey) ?? []
  must(name !== undefined && isKeyName(name), `no verifier key: ${vkey.slice(0, 80)}`)
  const bytes = decode(base64, 'base64', undefined, 'a verifier key')
  const kind = KINDS.find(({ type }) => isSame(bytes.subarray(0, type.length), type))
  must(kind !== undefined, `a verifier key of an unknown kind: ${name}+${id}`)
  const raw = bytes.subarray(kind.type.length)
  const keyId = keyIdOf(name, kind.type, raw)
  must(keyId.toString('hex') === id, `the verifier key ${name}+${id} holds another key`)
  return { name, kind, keyId, key: importKey(kind, raw) }
}

/** The verifier keys of the log of a trust bundle (docs/protocol.md §3), which is taken for verified. */
export function vkeysOfBundle({ trustDomain, keys }) {
  const name = `${trustDomain}/audit`
  return keys
    .filter(({ use }) => use === 'audit')
    .map(({ alg, publicKey }) => {
      const { type } = KINDS.find((kind) => kind.alg === alg)
      const raw = decode(publicKey, 'base64url', undefined, 'an audit key')
      const id = keyIdOf(name, type, raw).toString('hex')
      return `${name}+${id}+${Buffer.concat([type, raw]).toString('base64')}`
    })
}

/** Verified: `origin`, `size`, `root`, and when it was signed, where a signature says so. Everything else throws. */
export function openCheckpoint(note, vkeys) {
  must(note.isWellFormed() && note.endsWith('\n'), 'a note ends with a newline')
  const isText = [...note].every((c) => c === '\n' || c >= ' ')
  must(isText, 'a note with a control character')
  const end = note.lastIndexOf('\n\n')
  must(end >= 0, 'a note without signatures')
  const body = note.slice(0, end + 1)
  const lines = body.slice(0, -1).split('\n')
  // §7: three lines. C2SP would allow more, but no cosignature of type 0x06 covers them.
  must(lines.length === 3, 'a checkpoint has three lines')
  const [origin, sizeText, rootText] = lines
  const size = decimal(sizeText, 'the size of the tree')
  const root = decode(rootText, 'base64', 32, 'the root')
  const keys = vkeys.map(parseVkey).filter(({ name }) => name === origin)
  must(keys.length > 0, `no key for ${origin}`)
  const times = []
  const signed = new Set()
  const signatures = note.slice(end + 2, -1).split('\n')
  must(signatures.length <= 32, 'too many signatures')
  for (const line of signatures) {
    const [dash, name, base64, ...more] = line.split(' ')
    const isLine = dash === '—' && name !== undefined && isKeyName(name) && base64 !== undefined && more.length === 0
    must(isLine, 'a line that is no signature')
    const bytes = decode(base64, 'base64', undefined, 'a signature')
    must(bytes.length > 4, 'a signature of less than a key id')
    const by = keys.find((key) => key.name === name && isSame(key.keyId, bytes.subarray(0, 4)))
    if (by === undefined) continue // C2SP: signatures of unknown keys are ignored
    const seconds = verifySignature(by, { origin, size, root, body }, bytes.subarray(4))
    if (seconds !== undefined) times.push(seconds)
    signed.add(by.kind.alg)
  }
  for (const { kind } of keys) must(signed.has(kind.alg), `no key of ${kind.alg} signed the checkpoint`)
  return { origin, size, root, signedAt: times.length === 0 ? undefined : times.reduce((a, b) => (a > b ? a : b)) }
}

/** C2SP tlog-cosignature, "ML-DSA-44 signed message", or §7's line of type 0xFF. The time that was signed, if any. */
function verifySignature({ name, kind, key }, { origin, size, root, body }, bytes) {
  const isCosignature = kind.alg === 'ML-DSA-44'
  const signature = isCosignature ? bytes.subarray(8) : bytes
  must(signature.length === kind.signatureBytes, `a signature of ${kind.alg} has ${signature.length} bytes`)
  const lengthAnd = (value) => Buffer.concat([Buffer.of(text(value).length), text(value)])
  const message = isCosignature
    ? Buffer.concat([
        text('subtree/v1\n\0'),
        lengthAnd(name),
        bytes.subarray(0, 8),
        lengthAnd(origin),
        u64(0),
        u64(size),
        root,
      ])
    : text(body)
  const context = text(isCosignature ? '' : 'QFLARE-v1 checkpoint')
  must(crypto.verify(null, message, { key, context }, signature), `the signature of ${name} (${kind.alg}) is wrong`)
  if (!isCosignature) return undefined
  const seconds = bytes.readBigUInt64BE(0)
  must(seconds * 1000n < 2n ** 53n, 'a time that no clock shows')
  return seconds
}
