import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import {
  canonicalJson,
  concatenate,
  encode,
  fromBase64Padded,
  fromBase64url,
  lengthPrefixed,
  u64,
  uuidToBytes,
} from '../../protocol/encoding.ts'
import { bucketCertificateBytes } from '../../protocol/exchange/bucket.ts'
import { bucketCertificate } from '../../protocol/exchange/messages.ts'
import { trustBundleBytes } from '../../protocol/trust.ts'
import { logVectors as log } from '../support/protocol-log-vectors.ts'
import { ownVectors } from '../support/protocol-own-vectors.ts'
import { native as crypto, toHex } from '../support/protocol-providers.ts'
import { roundVectors as rounds } from '../support/protocol-round-vectors.ts'

const path = 'docs/worked-examples.md'
const page = readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const blocks = [...page.matchAll(/^```(.*)\n([\s\S]*?)\n```$/gm)].map(([, kind = '', text = '']) => ({ kind, text }))

const bytes = (text: string) => fromBase64url(text)
const id = (text: string) => uuidToBytes(text)
const { enrolment, epochs, exchange, seeds, trust } = ownVectors
const { bytes: certified, ...certificateMembers } = ownVectors.bucketCertificate
const { publicKey } = crypto.importSigningKey('ML-DSA-44', bytes(seeds.deviceIdentityKey))
const certificate = bucketCertificateBytes(bucketCertificate.parse(certificateMembers))
const [device] = rounds.devices
const kidBytes = encode('QFLARE-v1 kid', 'ML-DSA-44', publicKey)
const challenge = bytes(enrolment.challenge)
const bundle = { trustDomain: trust.trustDomain, sequence: trust.sequence, keys: trust.keys }
const federationId = id(rounds.federationId)
const sessionId = id(exchange.sessionId)
const signedLog = log.checkpoints.newer.split('\n')
const roundBytes = encode('QFLARE-v1 round', canonicalJson(rounds.file.certificate ?? null))
const initiated = encode(
  'QFLARE-v1 initiate',
  certificateMembers.suite,
  id(exchange.deviceId),
  u64(certificateMembers.bucket),
  crypto.hash512(certificate),
  bytes(exchange.nonceD),
  bytes(exchange.clientKey),
  bytes(exchange.ciphertextS),
)
const responded = encode(
  'QFLARE-v1 respond',
  bytes(exchange.th1),
  bytes(exchange.signature),
  sessionId,
  bytes(exchange.nonceS),
  bytes(exchange.ciphertextD),
  u64(exchange.expiresAt),
)
const bound = encode('QFLARE-v1 attest', challenge, enrolment.alg, publicKey, new Uint8Array(0))
const committed = encode(
  'QFLARE-v1 round commitment',
  id(device?.deviceId ?? ''),
  id(device?.sessionId ?? ''),
  u64(device?.epoch ?? 0),
  federationId,
  u64(rounds.round),
  bytes(device?.key ?? ''),
)

/** Every block of hexadecimal digits by its name, as the page has it: parts of `E`, fields, or rows of 32 bytes. */
const expected: Record<string, string> = {
  'E("round", federationId, u64(round))': parts(bytes(epochs.roundContext)),
  'E("QFLARE-v1 kid", alg, publicKey)': parts(kidBytes),
  'H256 of it': rows(crypto.hash256(kidBytes)),
  evidenceDigest: rows(bytes(enrolment.evidenceDigest)),
  'E("QFLARE-v1 trust", trustDomain, u64(sequence), jcs(keys))': parts(trustBundleBytes(bundle)),
  trustDigest: rows(bytes(enrolment.trustDigest)),
  'E("QFLARE-v1 attest", challenge, alg, publicKey, sessionId)': parts(bound),
  binding: rows(bytes(enrolment.attestBinding)),
  'E("QFLARE-v1 enroll", enrollmentId, challenge, alg, publicKey, name, kind, evidenceDigest, trustDigest)': parts(
    bytes(enrolment.bytes),
  ),
  certificate: parts(bytes(certified)),
  'H(certificate)': rows(crypto.hash512(certificate)),
  'E("QFLARE-v1 initiate", suite, deviceId, u64(bucket), H(certificate), nonce, ek_D, ct_S)': parts(initiated),
  th1: rows(bytes(exchange.th1)),
  'E("QFLARE-v1 respond", th1, signature, sessionId, nonce_S, ct_D, u64(expiresAt))': parts(responded),
  th2: rows(bytes(exchange.th2)),
  'lp(ss_S) ‖ lp(ss_D)': parts(
    concatenate([exchange.sharedSecretS, exchange.sharedSecretD].map((secret) => lengthPrefixed(bytes(secret)))),
  ),
  prk: rows(bytes(exchange.prk)),
  kS: rows(bytes(exchange.serverConfirmKey)),
  tagS: rows(bytes(exchange.serverConfirmation)),
  tagD: rows(bytes(exchange.deviceConfirmation)),
  'chain(5984394)': rows(bytes(epochs.chain)),
  'E("QFLARE-v1 comm", sessionId, u64(5984394), "encryption", "")': parts(
    encode('QFLARE-v1 comm', sessionId, u64(epochs.epoch), 'encryption', ''),
  ),
  'key of purpose encryption': rows(bytes(epochs.encryption)),
  'chain(5984395)': rows(bytes(epochs.nextChain)),
  'E("QFLARE-v1 token", sessionId, u64(5984394), nonce)': parts(
    encode('QFLARE-v1 token', sessionId, u64(epochs.epoch), bytes(epochs.tokenNonce)),
  ),
  proof: rows(bytes(epochs.tokenProof)),
  'E("round keys", federationId, u64(round), nonce)': parts(bytes(rounds.sealContext)),
  'seal key': rows(bytes(rounds.sealKey).subarray(0, 32)),
  'E("QFLARE-v1 round commitment", deviceId, sessionId, u64(epoch), federationId, u64(round), key)': parts(committed),
  commitment: rows(bytes(device?.commitment ?? '')),
  'E("QFLARE-v1 round", jcs(certificate))': parts(roundBytes),
  certificateHash: rows(bytes(rounds.certificateHash)),
  'line of ML-DSA-44': fields(decodeLine(4), 4, 8),
  'line of ML-DSA-87': fields(decodeLine(5), 4),
  'signed by ML-DSA-44': fields(bytes(log.cosigned.newer), 12, 1, 19, 8, 1, 19, 8, 8),
}
const texts: Record<string, readonly string[]> = {
  checkpoint: signedLog.slice(0, -1),
  proof: log.proof.split('\n').slice(0, 8),
  export: log.exports.part.trimEnd().split('\n'),
}

describe(path, () => {
  it('has every example once, and each is what the vectors say', () => {
    const shown = blocks.filter(({ kind }) => kind === 'hex').map(({ text }) => text)
    expect(shown).toEqual(Object.entries(expected).map(([name, text]) => `${name}\n${text}`))
  })

  it('hashes what it shows', () => {
    const hashes = [bound, committed, roundBytes].map((value) => toHex(crypto.hash256(value)))
    expect(hashes).toEqual(
      [enrolment.attestBinding, device?.commitment ?? '', rounds.certificateHash].map((hash) => toHex(bytes(hash))),
    )
    expect([initiated, responded].map((value) => toHex(crypto.hash512(value)))).toEqual(
      [exchange.th1, exchange.th2].map((hash) => toHex(bytes(hash))),
    )
  })

  it.each(Object.entries(texts))('shows the %s as it is written, as far as it shows it', (name, lines) => {
    const shown = blocks.find(({ kind }) => kind === `text ${name}`)?.text.split('\n') ?? []
    expect(shown.map((line) => line.replace(/…$/, ''))).toEqual(
      lines.map((line, at) => line.slice(0, cutOf(shown[at]))),
    )
  })

  it('writes JSON as RFC 8785 does', () => {
    const [input, output] = ['input', 'output'].map(
      (kind) => blocks.find((block) => block.kind === `json jcs-${kind}`)?.text ?? '',
    )
    expect(canonicalJson(JSON.parse(input ?? ''))).toBe(output)
  })

  it('names the key id, the session and the evidence of the vectors', () => {
    for (const named of [ownVectors.keyIds.device, exchange.sessionId, enrolment.evidenceJcs]) {
      expect(page).toContain(`\`${named}\``)
    }
  })
})

function cutOf(line: string | undefined): number | undefined {
  return line?.endsWith('…') === true ? line.length - 1 : undefined
}

function rows(value: Uint8Array): string {
  return toHex(value).replace(/.{64}(?=.)/g, '$&\n')
}

/** A part on each line, behind its length. */
function parts(value: Uint8Array): string {
  const lines: string[] = []
  for (let at = 0; at < value.length; ) {
    const length = new DataView(value.buffer, value.byteOffset + at, 4).getUint32(0)
    const part = value.subarray(at + 4, at + 4 + length)
    lines.push(`${toHex(value.subarray(at, at + 4))} ${shorten(part)}`.trimEnd())
    at += 4 + length
  }
  return lines.join('\n')
}

/** A field on each line: those of these lengths, then the rest. */
function fields(value: Uint8Array, ...lengths: number[]): string {
  let at = 0
  const first = lengths.map((length) => {
    at += length
    return shorten(value.subarray(at - length, at))
  })
  return [...first, shorten(value.subarray(at))].join('\n')
}

function shorten(part: Uint8Array): string {
  return part.length > 40 ? `${toHex(part.subarray(0, 16))}…` : toHex(part)
}

/** What a signature line holds behind its name. */
function decodeLine(at: number): Uint8Array {
  return fromBase64Padded(signedLog[at]?.split(' ')[2] ?? '')
}
