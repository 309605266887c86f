import type { CertifiedFormat } from '../protocol/attestation/trust-anchor-wish.ts'
import {
  type AddedCollateral,
  type AddedReferenceValues,
  type AddedTrustAnchors,
  addedCollateral,
  addedReferenceValues,
  addedTrustAnchors,
  type Collateral,
  collateral,
  type ReferenceValue,
  referenceValue,
  type TrustAnchor,
  trustAnchor,
  type WholeCollateral,
  wholeCollateral,
} from './attestation-input-answers.ts'
import { createHttpClient, type HttpClient, type HttpOptions } from './http.ts'
import type { RequestOptions } from './http-request.ts'
import { type Page, type PageQuery, pageOf, toQuery } from './pages.ts'

export type {
  AddedCollateral,
  AddedReferenceValues,
  AddedTrustAnchors,
  Collateral,
  ReferenceValue,
  TrustAnchor,
  WholeCollateral,
}

/** What to trust: authorities of one format of evidence, in PEM, or keys of PSA devices, each as SubjectPublicKeyInfo. */
export type TrustAnchorRequest =
  | { format: CertifiedFormat; pem: string; kind?: 'root' | 'intermediate' | undefined; name?: string | undefined }
  | { format: 'psa'; keys: readonly { instanceId: string; publicKey: string; name?: string | undefined }[] }

export interface CollateralRequest {
  /** `crl`, or another of docs/collateral.md. */
  kind: string
  body: string
  chain?: string | undefined
  /** Of a kind that names no time itself; milliseconds since the Unix epoch. Default: now. */
  fetchedAt?: number | undefined
  name?: string | undefined
}

/** 3 MiB in base64url. */
const MAX_COLLATERAL_ANSWER_BYTES = 5 << 20

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

  /**
   * Imports a revocation list or a statement of a vendor (docs/collateral.md), in the place of the older one. `body`: base64url of what
   * was published, up to 3 MiB; `chain`: certificates in PEM, where its kind has them apart. An older one than that which is there is
   * `malformed`.
   */
  addCollateral(request: CollateralRequest): Promise<AddedCollateral> {
    return this.#http.post('/v1/collateral', request, addedCollateral, { ...this.#auth, repeatable: true })
  }

  /** Newest first, without those that are removed, without bodies. */
  listCollateral(query: PageQuery & { kind?: string | undefined } = {}): Promise<Page<Collateral>> {
    return this.#http.get(`/v1/collateral${toQuery(query)}`, pageOf(collateral), this.#auth)
  }

  /** Also one that is removed; with its body. */
  getCollateral(id: string): Promise<WholeCollateral> {
    const options = { ...this.#auth, maxAnswerBytes: MAX_COLLATERAL_ANSWER_BYTES }
    return this.#http.get(`/v1/collateral/${encodeURIComponent(id)}`, wholeCollateral, options)
  }

  /** For whatever is appraised from then on. Repeating it changes nothing. */
  removeCollateral(id: string): Promise<void> {
    return this.#http.delete(`/v1/collateral/${encodeURIComponent(id)}`, { ...this.#auth, repeatable: true })
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
