import {
  type AddedReferenceValues,
  type AddedTrustAnchors,
  addedReferenceValues,
  addedTrustAnchors,
  type ReferenceValue,
  referenceValue,
  type TrustAnchor,
  trustAnchor,
} from './attestation-input-answers.ts'
import { createHttpClient, type HttpClient, type HttpOptions } from './http.ts'
import type { RequestOptions } from './http-request.ts'
import { type Page, type PageQuery, pageOf, toQuery } from './pages.ts'

export type { AddedReferenceValues, AddedTrustAnchors, ReferenceValue, TrustAnchor }

/** What to trust: authorities of TPMs, in PEM, or keys of PSA devices, each as SubjectPublicKeyInfo. */
export type TrustAnchorRequest =
  | { format: 'tpm2'; pem: string; kind?: 'root' | 'intermediate' | undefined; name?: string | undefined }
  | { format: 'psa'; keys: readonly { instanceId: string; publicKey: string; name?: string | undefined }[] }

/** Of 500 keys, or of a page of certificates. */
const MAX_ANSWER_BYTES = 4 << 20

/** What an organization trusts and expects of evidence (docs/trust-anchors.md), with an API token of role operator or admin. */
export class QflareAttestationInputs {
  readonly #http: HttpClient
  readonly #auth: RequestOptions

  constructor(http: HttpClient, apiToken: string) {
    this.#http = http
    this.#auth = { bearer: apiToken, maxAnswerBytes: MAX_ANSWER_BYTES }
  }

  /**
   * Trusts certificates of authorities (`pem`) or keys of devices (`keys`, at most 500, base64url): all of them, or none and this throws.
   * What is there already stays that one.
   */
  addTrustAnchors(request: TrustAnchorRequest): Promise<AddedTrustAnchors> {
    return this.#http.post('/v1/trust-anchors', request, addedTrustAnchors, { ...this.#auth, repeatable: true })
  }

  /** Newest first, without those that are removed. */
  listTrustAnchors(
    query: PageQuery & { format?: string | undefined; kind?: string | undefined } = {},
  ): Promise<Page<TrustAnchor>> {
    return this.#http.get(`/v1/trust-anchors${toQuery(query)}`, pageOf(trustAnchor), this.#auth)
  }

  /** Also one that is removed. */
  getTrustAnchor(id: string): Promise<TrustAnchor> {
    return this.#http.get(`/v1/trust-anchors/${encodeURIComponent(id)}`, trustAnchor, this.#auth)
  }

  /** For whatever is appraised from then on. Repeating it changes nothing. */
  removeTrustAnchor(id: string): Promise<void> {
    return this.#http.delete(`/v1/trust-anchors/${encodeURIComponent(id)}`, { ...this.#auth, repeatable: true })
  }

  /** Values of one format and name: all of them, or none and this throws. What is there already stays that one. */
  addReferenceValues(request: {
    format: string
    name: string
    values: readonly unknown[]
  }): Promise<AddedReferenceValues> {
    return this.#http.post('/v1/reference-values', request, addedReferenceValues, { ...this.#auth, repeatable: true })
  }

  /** Newest first, without those that are removed. */
  listReferenceValues(
    query: PageQuery & { format?: string | undefined; name?: string | undefined } = {},
  ): Promise<Page<ReferenceValue>> {
    return this.#http.get(`/v1/reference-values${toQuery(query)}`, pageOf(referenceValue), this.#auth)
  }

  /** Also one that is removed. */
  getReferenceValue(id: string): Promise<ReferenceValue> {
    return this.#http.get(`/v1/reference-values/${encodeURIComponent(id)}`, referenceValue, this.#auth)
  }

  /** For whatever is appraised from then on. Repeating it changes nothing. */
  removeReferenceValue(id: string): Promise<void> {
    return this.#http.delete(`/v1/reference-values/${encodeURIComponent(id)}`, { ...this.#auth, repeatable: true })
  }
}

/** Throws `input_invalid`, `insecure_url`. */
export function openAttestationInputs(options: HttpOptions & { apiToken: string }): QflareAttestationInputs {
  return new QflareAttestationInputs(createHttpClient(options), options.apiToken)
}
