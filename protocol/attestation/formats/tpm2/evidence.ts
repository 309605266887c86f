import { z } from 'zod'
import type { Json } from '../../../encoding.ts'
import { bytesWithin, printable } from '../../../wire.ts'
import { malformedEvidence } from '../../evidence-format.ts'
import { MAX_CERTIFICATE_BYTES } from '../../x509/parse-certificate.ts'
import { hashLengths, hashNames } from './algorithms.ts'
import { type Attest, MAX_ATTEST_BYTES, parseAttest } from './attest.ts'
import { ACTIVATED_SECRET_BYTES } from './credential.ts'
import { type EkCertificates, parseEkCertificates } from './ek-certificate.ts'
import { type EventLog, MAX_EVENT_LOG_BYTES, MAX_EVENTS, PCR_COUNT, toEventLog } from './event-log.ts'
import type { SentPcrs } from './pcrs.ts'
import { MAX_PUBLIC_BYTES, type PublicArea, parsePublic } from './public-area.ts'
import { MAX_SIGNATURE_BYTES, parseSignature, type TpmSignature } from './signature.ts'
import { parseTcgEventLog } from './tcg-event-log.ts'

const MAX_MEMBERS = 16
/** What is wrong may be as long as what was sent. */
const MAX_MESSAGE = 256

/** With the size before it. */
const akPublic = bytesWithin(1, MAX_PUBLIC_BYTES + 2)
const certificate = bytesWithin(1, MAX_CERTIFICATE_BYTES)
/** Both are counted before anything in them is looked at: a megabyte has room for a great many wrong ones. */
const few = <Item extends z.ZodType>(item: Item, most: number) => z.array(z.unknown()).max(most).pipe(z.array(item))
const withFew = <Output, Input extends object>(type: z.ZodType<Output, Input>, most: number) =>
  z.custom<Input>((given) => hasFewMembers(given, most), `Not an object of at most ${most} members.`).pipe(type)

function hasFewMembers(given: unknown, most: number): boolean {
  if (typeof given !== 'object') return false
  let count = 0
  for (const _ in given) if (++count > most) return false
  return true
}

const certificates = { ekCertificate: certificate, ekChain: few(certificate, 4).optional() }

/** Hex by PCR. */
function pcrValues(length: number) {
  const value = z.string().regex(new RegExp(`^[0-9a-f]{${length * 2}}$`), 'Not a value in hex.')
  const values = Array.from({ length: PCR_COUNT }, (_, pcr) => [String(pcr), value.exactOptional()] as const)
  const byPcr: Record<string, z.ZodExactOptional<z.ZodString>> = Object.fromEntries(values)
  return withFew(z.strictObject(byPcr), PCR_COUNT).exactOptional()
}

const loggedEvent = z.strictObject({
  pcr: z
    .int()
    .min(0)
    .max(PCR_COUNT - 1),
  description: printable.max(256).optional(),
  eventData: bytesWithin(0, MAX_EVENT_LOG_BYTES),
})

/** docs/attestation-formats.md: every binary member is what tpm2-tools write. */
const evidenceTpm2 = withFew(
  z.strictObject({
    format: z.literal('tpm2'),
    ekCertificate: certificate.optional(),
    ekChain: certificates.ekChain,
    akPublic,
    quote: bytesWithin(1, MAX_ATTEST_BYTES),
    signature: bytesWithin(1, MAX_SIGNATURE_BYTES),
    pcrs: withFew(
      z.strictObject({ sha256: pcrValues(hashLengths.sha256), sha384: pcrValues(hashLengths.sha384) }),
      hashNames.length,
    ),
    eventLog: z.union([bytesWithin(1, MAX_EVENT_LOG_BYTES), few(loggedEvent, MAX_EVENTS)]).optional(),
    activatedSecret: bytesWithin(ACTIVATED_SECRET_BYTES, ACTIVATED_SECRET_BYTES).optional(),
  }),
  MAX_MEMBERS,
)

const credentialRequestTpm2 = withFew(z.strictObject({ ...certificates, akPublic }), MAX_MEMBERS)

/** Nothing of it is verified. */
export interface Tpm2Evidence {
  certificates: EkCertificates | undefined
  ak: PublicArea
  quote: Attest
  signature: TpmSignature
  pcrs: SentPcrs
  eventLog: EventLog | undefined
  activatedSecret: Uint8Array | undefined
}

/** Attacker-controlled input. Throws `evidence_malformed`. */
export function parseTpm2Evidence(given: Record<string, Json>): Tpm2Evidence {
  const sent = parseBy(evidenceTpm2, given)
  return {
    certificates: parseCertificates(sent),
    ak: parsePublic(sent.akPublic),
    quote: parseAttest(sent.quote),
    signature: parseSignature(sent.signature),
    pcrs: sent.pcrs,
    eventLog:
      sent.eventLog &&
      (sent.eventLog instanceof Uint8Array ? parseTcgEventLog(sent.eventLog) : toEventLog(sent.eventLog)),
    activatedSecret: sent.activatedSecret,
  }
}

/** Attacker-controlled input. Throws `evidence_malformed`. */
export function parseTpm2CredentialRequest(given: Record<string, Json>): {
  certificates: EkCertificates
  ak: PublicArea
} {
  const sent = parseBy(credentialRequestTpm2, given)
  return {
    certificates: parseCertificates(sent) as EkCertificates,
    ak: parsePublic(sent.akPublic),
  }
}

function parseBy<Output>(schema: z.ZodType<Output>, given: Record<string, Json>): Output {
  const { success, data, error } = schema.safeParse(given)
  if (success) return data
  const { path, message } = error.issues[0] as z.core.$ZodIssue
  throw malformedEvidence(`${path.length > 0 ? `${path.join('.')}: ` : ''}${message}`.slice(0, MAX_MESSAGE))
}

/** A chain belongs to a certificate. */
function parseCertificates(sent: {
  ekCertificate?: Uint8Array | undefined
  ekChain?: Uint8Array[] | undefined
}): EkCertificates | undefined {
  const { ekCertificate, ekChain = [] } = sent
  if (ekCertificate !== undefined) return parseEkCertificates(ekCertificate, ekChain)
  if (ekChain.length > 0) throw malformedEvidence('ekChain: There is no ekCertificate.')
  return undefined
}
