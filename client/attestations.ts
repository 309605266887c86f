import { z } from 'zod'
import { timestamp, uuid } from '../protocol/wire.ts'
import { createHttpClient, type HttpClient, type HttpOptions } from './http.ts'
import type { RequestOptions } from './http-request.ts'
import { type Page, type PageQuery, pageOf, toQuery } from './pages.ts'

// As with an operator's answers, what a newer server adds is passed on: what is signed is the EAR.

const attestationFinding = z.looseObject({ check: z.string(), claim: z.string(), value: z.int(), detail: z.string() })

export const attestation = z.looseObject({
  id: uuid,
  deviceId: uuid,
  kid: z.string(),
  /** The one that the evidence was for; null of an enrolment, and of a new identity key. */
  sessionId: uuid.nullable(),
  tier: z.string(),
  policyId: z.string(),
  appraisedAt: timestamp,
  expiresAt: timestamp,
  /** By format of evidence, line by line. */
  findings: z.record(z.string(), z.array(attestationFinding)),
})
export type Attestation = z.output<typeof attestation>

/** As docs/policies.md has it; what of it is used here. The whole is `qflare policy test`'s to read, which needs Node. */
const attestationEvidence = z.looseObject({
  v: z.literal(1),
  evidence: z.array(z.record(z.string(), z.json())),
  result: z.looseObject({ tier: z.string(), policyId: z.string() }).optional(),
})
export type AttestationEvidence = z.output<typeof attestationEvidence>

export interface AttestationFilter {
  deviceId?: string | undefined
  tier?: string | undefined
}

/** Evidence of a mebibyte, and what it was held against. */
const MAX_EVIDENCE_BYTES = 8 << 20
const MAX_LIST_BYTES = 8 << 20

/**
 * Attestation results (docs/api.md): an operator sees all, a coordinator those of the members of its federations. The evidence
 * that they were made of is for operators.
 */
export class QflareAttestations {
  readonly #http: HttpClient
  readonly #auth: RequestOptions

  constructor(http: HttpClient, apiToken: string) {
    this.#http = http
    this.#auth = { bearer: apiToken }
  }

  /** Newest first. */
  listAttestations(query: PageQuery & AttestationFilter = {}): Promise<Page<Attestation>> {
    const options = { ...this.#auth, maxAnswerBytes: MAX_LIST_BYTES }
    return this.#http.get(`/v1/attestations${toQuery(query)}`, pageOf(attestation), options)
  }

  getAttestation(id: string): Promise<Attestation> {
    return this.#http.get(pathOf(id), attestation, this.#auth)
  }

  /** The result as it was signed: a compact JWS, which the keys of `/.well-known/jwks.json` verify. It is not verified here. */
  async getAttestationEar(id: string): Promise<string> {
    const bytes = await this.#http.getBytes(`${pathOf(id)}/ear`, 'application/eat+jwt', this.#auth)
    return new TextDecoder().decode(bytes)
  }

  /** Everything that the result was made of, as `qflare policy test` takes it. `not_found` where the release of its time did not keep it. */
  getAttestationEvidence(id: string): Promise<AttestationEvidence> {
    const options = { ...this.#auth, maxAnswerBytes: MAX_EVIDENCE_BYTES }
    return this.#http.get(`${pathOf(id)}/evidence`, attestationEvidence, options)
  }
}

function pathOf(id: string): string {
  return `/v1/attestations/${encodeURIComponent(id)}`
}

/** Throws `input_invalid`, `insecure_url`. */
export function openAttestations(options: HttpOptions & { apiToken: string }): QflareAttestations {
  const { apiToken, ...http } = options
  return new QflareAttestations(createHttpClient(http), apiToken)
}
