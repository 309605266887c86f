import { z } from 'zod'
import type { Json } from '../../../encoding.ts'
import { bytesWithin, printable } from '../../../wire.ts'
import { malformedEvidence } from '../../evidence-format.ts'
import { MAX_CERTIFICATE_BYTES } from '../../x509/parse-certificate.ts'
import { hashLengths } from './algorithms.ts'
import { type Attest, MAX_ATTEST_BYTES, parseAttest } from './attest.ts'
import { ACTIVATED_SECRET_BYTES } from './credential.ts'
import { type EkCertificates, parseEkCertificates } from './ek-certificate.ts'
import { type EventLog, MAX_EVENT_LOG_BYTES, MAX_EVENTS, toEventLog } from './event-log.ts'
import type { SentPcrs } from './pcrs.ts'
import { MAX_PUBLIC_BYTES, type PublicArea, parsePublic } from './public-area.ts'
import { MAX_SIGNATURE_BYTES, parseSignature, type TpmSignature } from './signature.ts'
import { parseTcgEventLog } from './tcg-event-log.ts'

/** With the size before it. */
const akPublic = bytesWithin(1, MAX_PUBLIC_BYTES + 2)
const certificate = bytesWithin(1, MAX_CERTIFICATE_BYTES)
const certificates = { ekCertificate: certificate, ekChain: z.array(certificate).max(4) }

const pcrIndex = z.string().regex(/^(\d|1\d|2[0-3])$/)
const pcrValues = (length: number) =>
  z.record(pcrIndex, z.string().regex(new RegExp(`^[0-9a-f]{${length * 2}}$`), 'Not a value in hex.'))
const loggedEvent = z.strictObject({
  pcr: z.int().min(0).max(23),
  description: printable.max(256).optional(),
  eventData: bytesWithin(0, MAX_EVENT_LOG_BYTES),
})

/** docs/attestation-formats.md: every binary member is what tpm2-tools write. */
const evidenceTpm2 = z.strictObject({
  format: z.literal('tpm2'),
  ekCertificate: certificates.ekCertificate.optional(),
  ekChain: certificates.ekChain.optional(),
  akPublic,
  quote: bytesWithin(1, MAX_ATTEST_BYTES),
  signature: bytesWithin(1, MAX_SIGNATURE_BYTES),
  pcrs: z.strictObject({
    sha256: pcrValues(hashLengths.sha256).optional(),
    sha384: pcrValues(hashLengths.sha384).optional(),
  }),
  eventLog: z.union([bytesWithin(1, MAX_EVENT_LOG_BYTES), z.array(loggedEvent).max(MAX_EVENTS)]).optional(),
  activatedSecret: bytesWithin(ACTIVATED_SECRET_BYTES, ACTIVATED_SECRET_BYTES).optional(),
})

const credentialRequestTpm2 = z.strictObject({ ...certificates, ekChain: certificates.ekChain.optional(), akPublic })

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
    pcrs: sent.pcrs as SentPcrs,
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
  throw malformedEvidence(`${path.length > 0 ? `${path.join('.')}: ` : ''}${message}`)
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
