import { canonicalJson, type Json } from '../encoding.ts'
import { ProtocolError } from '../errors.ts'
import { listAuditKeys, toVerifierKeys } from '../log/audit-keys.ts'
import { logOrigin, type VerifiedCheckpoint } from '../log/checkpoint.ts'
import { readEntry } from '../log/read-entry.ts'
import { verifyTlogProof } from '../log/tlog-proof.ts'
import type { VerifierKey } from '../log/verifier-key.ts'
import type { Primitives } from '../primitives.ts'
import { signatureContexts } from '../suites.ts'
import {
  importTrustKey,
  type TrustBundle,
  type TrustKey,
  verifyNextTrustBundle,
  verifyPinnedTrustBundle,
} from '../trust.ts'
import {
  type RoundCertificate,
  type RoundCertificateFile,
  roundCertificateBytes,
  roundCertificateHash,
} from './round-certificate.ts'

/** What whoever verifies holds apart from the file: at least one of the first two. */
export interface RoundTrust {
  /** The `kid` of the root key that has to vouch for the key that signed. Its bundles say which keys sign the log, too. */
  rootPin?: string | undefined
  /** The keys of the log, in the place of those of the bundles. */
  auditKeys?: readonly VerifierKey[] | undefined
  /** Whether a file without a proof is refused. Without `rootPin` it always is: nothing else would vouch for it. */
  requireProof: boolean
}

export const roundChecks = ['participants', 'trust', 'signature', 'event', 'proof'] as const
/** `missing`: there is no proof, and none was required. */
export interface RoundCheck {
  check: (typeof roundChecks)[number]
  outcome: 'verified' | 'refused' | 'missing'
  /** A sentence: what was verified, or why it was refused. */
  detail: string
  refusal: ProtocolError | undefined
}

export interface VerifiedRound {
  certificate: RoundCertificate
  /** Of the attestation key that signed. */
  kid: string
  /** Undefined without a proof. */
  logged: { index: number; checkpoint: VerifiedCheckpoint } | undefined
}

/**
 * Whether a certificate is what the service signed and logged (docs/protocol.md §5), from the file alone. The file is parsed, and
 * attacker-controlled. Throws what the first check that fails says: `round_invalid`, `trust_invalid`, `signature_invalid`, `log_invalid`.
 */
export function verifyRoundCertificate(
  crypto: Primitives,
  file: RoundCertificateFile,
  trust: RoundTrust,
): VerifiedRound {
  const { checks, logged } = checkRoundCertificate(crypto, file, trust)
  const refused = checks.find(({ refusal }) => refusal !== undefined)?.refusal
  if (refused !== undefined) throw refused
  return { certificate: file.certificate, kid: file.signature.kid, logged }
}

/** The same for people: what each check found, in the order of `roundChecks`. Throws `trust_invalid` where nothing is trusted. */
export function checkRoundCertificate(
  crypto: Primitives,
  file: RoundCertificateFile,
  trust: RoundTrust,
): { checks: RoundCheck[]; logged: VerifiedRound['logged'] } {
  const { rootPin, auditKeys } = trust
  if (rootPin === undefined && auditKeys === undefined) {
    throw new ProtocolError('trust_invalid', 'Nothing is trusted here: give the pin of a root key, or keys of the log.')
  }
  const bundles = attempt(() => verifyBundles(crypto, file.trust, rootPin))
  const logKeys = auditKeys ?? keysOfLog(crypto, bundles.value ?? [])
  const isRequired = trust.requireProof || rootPin === undefined
  const proof = attempt(() => verifyProof(crypto, file, logKeys, isRequired))
  const { certificate } = file
  const root = rootPin === undefined ? 'its own root key alone' : `root key ${rootPin}`
  const checks: RoundCheck[] = [
    toCheck(
      'participants',
      attempt(() => requireOrder(certificate)),
      `${certificate.participants.length}, each once and in order`,
    ),
    toCheck('trust', bundles, `${file.trust.length} bundle(s), vouched for by ${root}`),
    toCheck(
      'signature',
      attempt(() => verifyRoundSignature(crypto, file, bundles.value ?? [])),
      `by attestation key ${file.signature.kid}`,
    ),
    toCheck(
      'event',
      attempt(() => requireEvent(crypto, file)),
      `${eventTypes[certificate.state]} carries the hash of the certificate`,
    ),
    toCheck('proof', proof, describeProof(proof.value)),
  ]
  return { checks, logged: proof.value }
}

/** Of verified bundles, in order. */
function keysOfLog(crypto: Primitives, bundles: readonly TrustBundle[]): VerifierKey[] {
  const [first] = bundles
  return first === undefined ? [] : toVerifierKeys(crypto, logOrigin(first.trustDomain), listAuditKeys(bundles))
}

interface Attempt<T> {
  value?: T
  refusal?: ProtocolError
}

function attempt<T>(check: () => T): Attempt<T> {
  try {
    return { value: check() }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    return { refusal: error }
  }
}

function toCheck(check: RoundCheck['check'], { value, refusal }: Attempt<unknown>, verified: string): RoundCheck {
  if (refusal !== undefined) return { check, outcome: 'refused', detail: refusal.message, refusal }
  const outcome = check === 'proof' && value === undefined ? 'missing' : 'verified'
  return { check, outcome, detail: verified, refusal: undefined }
}

function describeProof(logged: VerifiedRound['logged']): string {
  if (logged === undefined) return 'none in this file: the log had not covered the event yet'
  const { index, checkpoint } = logged
  return `entry ${index} of ${checkpoint.size} in ${checkpoint.origin}`
}

function requireOrder({ participants, state, minParticipants, openedAt, closedAt }: RoundCertificate): undefined {
  for (const [at, { deviceId }] of participants.entries()) {
    const before = participants[at - 1]
    if (before !== undefined && before.deviceId >= deviceId) {
      throw refused(`Participant ${deviceId} is not behind the one before it: they are sorted, and each is there once.`)
    }
  }
  if (state === 'CLOSED' && participants.length < minParticipants) {
    throw refused(`A round of ${minParticipants} participants at least cannot be closed with ${participants.length}.`)
  }
  if (closedAt < openedAt) throw refused('The round was closed before it was opened.')
}

/** Those of the file from the one on that the root key signed: the others are not vouched for. */
function verifyBundles(crypto: Primitives, bundles: readonly TrustBundle[], pin: string | undefined): TrustBundle[] {
  const isPinned = ({ keys }: TrustBundle) => keys.some(({ use, kid }) => use === 'root' && kid === pin)
  const [first, ...later] = pin === undefined ? bundles : bundles.slice(Math.max(0, bundles.findIndex(isPinned)))
  if (first === undefined) throw new ProtocolError('trust_invalid', 'There is no trust bundle.')
  const verified = [verifyPinnedTrustBundle(crypto, first, pin ?? rootKidOf(first))]
  for (const next of later) verified.push(verifyNextTrustBundle(crypto, verified.at(-1) ?? first, next))
  return verified
}

function rootKidOf({ keys, signatures }: TrustBundle): string {
  return keys.find(({ use, kid }) => use === 'root' && signatures.some((signed) => signed.kid === kid))?.kid ?? ''
}

/** `bundles` are verified. Throws `trust_invalid` where none has the key, or for another time, and `signature_invalid`. */
export function verifyRoundSignature(
  crypto: Primitives,
  { certificate, signature }: Pick<RoundCertificateFile, 'certificate' | 'signature'>,
  bundles: readonly TrustBundle[],
): undefined {
  const key = findAttestationKey(bundles, signature.kid)
  if (bundles.some(({ trustDomain }) => trustDomain !== certificate.trustDomain)) {
    throw new ProtocolError('trust_invalid', `The trust bundle is not of ${certificate.trustDomain}.`)
  }
  if (certificate.closedAt < key.notBefore || certificate.closedAt >= key.notAfter) {
    throw new ProtocolError('trust_invalid', `The attestation key ${key.kid} was not valid when the round was closed.`)
  }
  const bytes = roundCertificateBytes(certificate)
  if (importTrustKey(crypto, key).verify(bytes, signatureContexts.round, signature.signature)) return
  throw new ProtocolError('signature_invalid', 'The signature of the round certificate is not valid.')
}

function findAttestationKey(bundles: readonly TrustBundle[], wanted: string): TrustKey {
  // The newest that names it says how long it is valid: a key that was retired ends then.
  for (const { keys } of bundles.toReversed()) {
    const key = keys.find(({ use, kid }) => use === 'attestation' && kid === wanted)
    if (key !== undefined) return key
  }
  throw new ProtocolError('trust_invalid', `No trust bundle that is vouched for has an attestation key ${wanted}.`)
}

const eventTypes = { CLOSED: 'round.closed', FAILED: 'round.failed' } as const

function requireEvent(crypto: Primitives, { certificate, event }: RoundCertificateFile): undefined {
  const facts = readEntry(canonicalJson(event))
  if ('refused' in facts) throw refused(`The event is none. ${facts.refused}`)
  const type = eventTypes[certificate.state]
  if (facts.type !== type) throw refused(`The event is ${facts.type}, and the round is ${certificate.state}.`)
  const { federationId, round } = toMembers(event.subject)
  const isOfRound = federationId === certificate.federationId && round === certificate.round
  if (!isOfRound || facts.organizationId !== certificate.organizationId) {
    throw refused('The event is of another round than the certificate.')
  }
  if (toMembers(event.data).certificateHash !== roundCertificateHash(crypto, certificate)) {
    throw refused('The event carries the hash of another certificate.')
  }
}

function verifyProof(
  crypto: Primitives,
  { certificate, event, proof }: RoundCertificateFile,
  keys: readonly VerifierKey[],
  isRequired: boolean,
): VerifiedRound['logged'] {
  if (proof === null) {
    if (!isRequired) return undefined
    throw new ProtocolError('log_invalid', 'There is no proof that the event is in the log.')
  }
  const log = keys.filter(({ name }) => name === logOrigin(certificate.trustDomain))
  return verifyTlogProof(crypto, proof, new TextEncoder().encode(canonicalJson(event)), { log })
}

function toMembers(value: Json | undefined): { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {}
}

function refused(message: string): ProtocolError {
  return new ProtocolError('round_invalid', message)
}
