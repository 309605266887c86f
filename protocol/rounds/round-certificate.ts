import { z } from 'zod'
import { canonicalJson, encode, type Json, toBase64url, u64, uuidToBytes } from '../encoding.ts'
import { ProtocolError } from '../errors.ts'
import type { Primitives } from '../primitives.ts'
import { trustBundle } from '../trust.ts'
import { json, kid, signature, timestamp, uuid } from '../wire.ts'

/** What a closed round leaves behind (docs/protocol.md §5, "Round certificate"): who had which key in it, in what state. */

/** 32 bytes. It stays text, as keys of trust bundles do: the canonical JSON of a certificate is what is signed. */
export const hashText = z
  .string()
  .regex(/^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/, 'Not a hash: 43 characters of base64url.')
  .meta({ description: '32 bytes' })

export const MAX_CERTIFIED_PARTICIPANTS = 100_000

export const roundParticipant = z
  .strictObject({
    deviceId: uuid,
    /** Of the identity key that the session was made with. */
    kid,
    sessionId: uuid,
    /** The newest that the coordinator was given a key of. */
    epoch: z.int().min(0),
    tier: z.string().min(1).max(64),
    attestationId: uuid,
    /** H256 of the text of the attestation result (EAR). */
    attestationHash: hashText,
    /** `roundCommitment` of the key. */
    commitment: hashText,
  })
  .meta({ id: 'RoundParticipant' })
export type RoundParticipant = z.output<typeof roundParticipant>

export const roundCertificate = z
  .strictObject({
    v: z.literal(1),
    trustDomain: z.string().min(1).max(255),
    organizationId: uuid,
    federationId: uuid,
    round: z.int().min(0),
    state: z.enum(['CLOSED', 'FAILED']),
    /** The policy that decided who was admitted. */
    policy: z.string().min(1).max(128),
    minParticipants: z.int().min(0),
    openedAt: timestamp,
    closedAt: timestamp,
    /** Of what the participants' work became, as the coordinator states it. */
    aggregateHash: hashText.nullable(),
    /** In ascending order of `deviceId`, each once. */
    participants: z.array(roundParticipant).max(MAX_CERTIFIED_PARTICIPANTS),
  })
  .meta({ id: 'RoundCertificate' })
export type RoundCertificate = z.output<typeof roundCertificate>

/** All that is needed to check a certificate offline. Its event and proof are of the audit log (docs/protocol.md §7). */
export const roundCertificateFile = z
  .strictObject({
    certificate: roundCertificate,
    signature: z.strictObject({ kid, signature }),
    /** `round.closed` or `round.failed`, exactly as it was logged. */
    event: z.record(z.string(), json),
    /** The text of a `c2sp.org/tlog-proof@v1`; null until a checkpoint covers the event. */
    proof: z
      .string()
      .max(512 << 10)
      .nullable(),
    /** From the bundle with the key that signed to the newest, in order and without a gap. */
    trust: z.array(trustBundle).min(1).max(10_000),
  })
  .meta({ id: 'RoundCertificateFile' })
export type RoundCertificateFile = z.output<typeof roundCertificateFile>
/** The same with its signatures as base64url text. */
export type WireRoundCertificateFile = z.input<typeof roundCertificateFile>

/** What a key of use `attestation` signs, in context `round`. */
export function roundCertificateBytes(certificate: RoundCertificate): Uint8Array {
  return encode('QFLARE-v1 round', canonicalJson(certificate))
}

/** base64url of 32 bytes: member `certificateHash` of the event's data. H256 of the bytes that are signed. */
export function roundCertificateHash(crypto: Primitives, certificate: RoundCertificate): string {
  return toBase64url(crypto.hash256(roundCertificateBytes(certificate)))
}

/** base64url of 32 bytes. `key`: of purpose `round`, 64 bytes. Who has it can show that it was this one; nobody else learns it. */
export function roundCommitment(
  crypto: Primitives,
  names: {
    deviceId: string
    sessionId: string
    epoch: number
    federationId: string
    round: number
    key: Uint8Array
  },
): string {
  const { deviceId, sessionId, epoch, federationId, round, key } = names
  const [device, session, federation] = [deviceId, sessionId, federationId].map(uuidToBytes) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ]
  const committed = encode('QFLARE-v1 round commitment', device, session, u64(epoch), federation, u64(round), key)
  const commitment = toBase64url(crypto.hash256(committed))
  committed.fill(0)
  return commitment
}

/** As text, which `parseRoundCertificateFile` reads. */
export function formatRoundCertificateFile(file: RoundCertificateFile): string {
  return `${JSON.stringify(z.encode(roundCertificateFile, file))}\n`
}

/** No member of ours, and one that a parsed object loses. */
const prototypeMember = /"__proto__"\s*:/
const textToken = /("[^"\\]*(?:\\.[^"\\]*)*")|\s+/g

/**
 * Attacker-controlled input; nothing is verified. Spaces between members may be anybody's; a member that stands twice may not, nor
 * another spelling: people and programs shall read the same. Throws `round_invalid`.
 */
export function parseRoundCertificateFile(written: string): RoundCertificateFile {
  const parsed = roundCertificateFile.safeParse(parseOnce(written))
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const where = `"${issue?.path.join('.') ?? ''}": ${issue?.message ?? ''}`.slice(0, 200)
  throw new ProtocolError('round_invalid', `This is no round certificate: it is malformed at ${where}`)
}

function parseOnce(written: string): Json {
  let value: Json
  try {
    value = JSON.parse(written) as Json
  } catch (cause) {
    throw new ProtocolError('round_invalid', 'This is no round certificate: it is not JSON.', { cause })
  }
  if (prototypeMember.test(written) || !isSpeltOnce(written, value)) {
    throw new ProtocolError('round_invalid', 'This is no round certificate: a member stands twice, or is spelt oddly.')
  }
  return value
}

/** False, too, of strings of millions of escapes, which no certificate has and no regular expression follows. */
function isSpeltOnce(written: string, value: Json): boolean {
  try {
    return written.replace(textToken, '$1') === JSON.stringify(value)
  } catch (error) {
    if (error instanceof RangeError) return false
    throw error
  }
}
