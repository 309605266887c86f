import type { ApiRole } from '../protocol/api-roles.ts'
import type { PrincipalKind } from '../protocol/enrollment.ts'
import type { WireTrustBundle } from '../protocol/trust.ts'
import { type FollowRevocationsOptions, followRevocations } from './follow-revocations.ts'
import { createHttpClient, type HttpClient, type HttpOptions } from './http.ts'
import type { RequestOptions } from './http-request.ts'
import {
  type ApiToken,
  type AppraisalPolicy,
  apiToken,
  appraisalPolicy,
  type CreatedApiToken,
  type CreatedEnrollmentToken,
  type CreatedOfMany,
  type CreatedOrganization,
  createdApiToken,
  createdEnrollmentToken,
  createdEnrollmentTokens,
  createdOrganization,
  type Device,
  device,
  type EnrollmentToken,
  enrollmentToken,
  type FailedRun,
  failedRun,
  type Job,
  job,
  type Organization,
  organization,
  type Session,
  session,
  startedRun,
  storedTrust,
  type TrustDraft,
  trustDraft,
} from './operator-answers.ts'
import { allPages, type Page, type PageQuery, pageOf, toQuery } from './pages.ts'
import { wait } from './wait.ts'

export type {
  ApiToken,
  AppraisalPolicy,
  CreatedApiToken,
  CreatedOrganization,
  Device,
  EnrollmentToken,
  FailedRun,
  Job,
  Organization,
  Session,
  TrustDraft,
}

/** What an enrolment token lets enrol. `ttlSeconds`: 60 to 2,592,000; the server's default is a day. */
export interface EnrollmentTokenRequest {
  kind: PrincipalKind
  /** The only name that the device may enrol under; any, without it. */
  name?: string | undefined
  /** What the device is from its enrolment on: labels of 1 to 64 of a-z, 0-9, `.`, `_`, `-`; at most 32 capabilities. */
  type?: string | undefined
  capabilities?: readonly string[] | undefined
  policyId?: string | undefined
  ttlSeconds?: number | undefined
}

export interface EnrollmentTokenFilter {
  status?: EnrollmentToken['status'] | undefined
}

/** What is given must all hold. */
export interface DeviceFilter {
  status?: string | undefined
  kind?: string | undefined
  type?: string | undefined
  /** That the device has, among others. */
  capability?: string | undefined
  /** The whole name. */
  name?: string | undefined
  namePrefix?: string | undefined
  /** Milliseconds since the Unix epoch. A device that was never seen is neither before nor after. */
  lastSeenBefore?: number | undefined
  lastSeenAfter?: number | undefined
  /** Those whose identity key is flagged as old. */
  rotationDue?: true | undefined
}

/** What is given replaces the whole member; `type: null` removes it. */
export interface DeviceChange {
  name?: string | undefined
  type?: string | null | undefined
  capabilities?: readonly string[] | undefined
  metadata?: Readonly<Record<string, string | number | boolean>> | undefined
}

const MAX_LIST_BYTES = 4 << 20

/**
 * The operator's calls (docs/api.md), with an API token of role operator or admin; those for API tokens need an admin, those for
 * organizations an admin of the service.
 */
export class QflareOperator {
  readonly #http: HttpClient
  readonly #auth: RequestOptions

  constructor(http: HttpClient, apiToken: string) {
    this.#http = http
    this.#auth = { bearer: apiToken, maxAnswerBytes: MAX_LIST_BYTES }
  }

  /** A tenant and its first admin token. `name_taken` when there is one of this name: 1 to 128 characters. */
  createOrganization(request: { name: string }): Promise<CreatedOrganization> {
    return this.#http.post('/v1/organizations', request, createdOrganization, this.#auth)
  }

  /** Newest first. */
  listOrganizations(query: PageQuery = {}): Promise<Page<Organization>> {
    return this.#http.get(`/v1/organizations${toQuery(query)}`, pageOf(organization), this.#auth)
  }

  getOrganization(id: string): Promise<Organization> {
    return this.#http.get(`/v1/organizations/${encodeURIComponent(id)}`, organization, this.#auth)
  }

  /** Of the caller's organization. `ttlSeconds`: 60 to 31,536,000; the server's default is 90 days. */
  createApiToken(request: {
    name: string
    roles: readonly ApiRole[]
    ttlSeconds?: number | undefined
  }): Promise<CreatedApiToken> {
    return this.#http.post('/v1/api-tokens', request, createdApiToken, this.#auth)
  }

  /** Newest first. */
  listApiTokens(query: PageQuery = {}): Promise<Page<ApiToken>> {
    return this.#http.get(`/v1/api-tokens${toQuery(query)}`, pageOf(apiToken), this.#auth)
  }

  /** At once, and for good. Repeating it changes nothing. */
  revokeApiToken(id: string): Promise<void> {
    return this.#http.delete(`/v1/api-tokens/${encodeURIComponent(id)}`, { ...this.#auth, repeatable: true })
  }

  createEnrollmentToken(request: EnrollmentTokenRequest): Promise<CreatedEnrollmentToken> {
    return this.#http.post('/v1/enrollment-tokens', request, createdEnrollmentToken, this.#auth)
  }

  /** 1 to 500 at once, in the order asked; all of them, or none and this throws. */
  async createEnrollmentTokens(requests: readonly EnrollmentTokenRequest[]): Promise<CreatedOfMany[]> {
    const body = { items: requests }
    return (await this.#http.post('/v1/enrollment-tokens/bulk', body, createdEnrollmentTokens, this.#auth)).items
  }

  /** Newest first. */
  listEnrollmentTokens(query: PageQuery & EnrollmentTokenFilter = {}): Promise<Page<EnrollmentToken>> {
    return this.#http.get(`/v1/enrollment-tokens${toQuery(query)}`, pageOf(enrollmentToken), this.#auth)
  }

  getEnrollmentToken(id: string): Promise<EnrollmentToken> {
    return this.#http.get(`/v1/enrollment-tokens/${encodeURIComponent(id)}`, enrollmentToken, this.#auth)
  }

  /** `session_state` for one that was used: revoke the device instead. */
  revokeEnrollmentToken(id: string): Promise<void> {
    return this.#http.delete(`/v1/enrollment-tokens/${encodeURIComponent(id)}`, this.#auth)
  }

  /** The next version; where the newest says the same, that one. `policy` is a document as docs/policies.md describes it. */
  createPolicy(request: { name: string; policy: object }): Promise<AppraisalPolicy> {
    return this.#http.post('/v1/policies', request, appraisalPolicy, this.#auth)
  }

  /** Of each name the newest version, in the order of the names. */
  listPolicies(query: PageQuery = {}): Promise<Page<AppraisalPolicy>> {
    return this.#http.get(`/v1/policies${toQuery(query)}`, pageOf(appraisalPolicy), this.#auth)
  }

  /** Without `version` the newest. */
  getPolicy(name: string, version?: number): Promise<AppraisalPolicy> {
    const path = `/v1/policies/${encodeURIComponent(name)}${toQuery({ version })}`
    return this.#http.get(path, appraisalPolicy, this.#auth)
  }

  /** Newest first. */
  listDevices(query: PageQuery & DeviceFilter = {}): Promise<Page<Device>> {
    return this.#http.get(`/v1/devices${toQuery(query)}`, pageOf(device), this.#auth)
  }

  /** Every device that the filter lets through, page by page. */
  devices(filter: DeviceFilter = {}): AsyncGenerator<Device> {
    return allPages((page) => this.listDevices({ ...filter, ...page }))
  }

  getDevice(id: string): Promise<Device> {
    return this.#http.get(`/v1/devices/${encodeURIComponent(id)}`, device, this.#auth)
  }

  /** The device as it is then. Repeating it changes nothing. */
  updateDevice(id: string, change: DeviceChange): Promise<Device> {
    const options = { ...this.#auth, repeatable: true }
    return this.#http.patch(`/v1/devices/${encodeURIComponent(id)}`, change, device, options)
  }

  /** With its sessions, until it is resumed. Repeating it changes nothing. `session_state` for one that is revoked. */
  suspendDevice(id: string): Promise<Device> {
    return this.#changeStatus(id, 'suspend')
  }

  /** It may exchange keys again; its sessions from before stay revoked. Repeating it changes nothing. */
  resumeDevice(id: string): Promise<Device> {
    return this.#changeStatus(id, 'resume')
  }

  /** With its sessions, for good. Repeating it changes nothing. */
  revokeDevice(id: string): Promise<Device> {
    return this.#changeStatus(id, 'revoke')
  }

  /** Out of its quarantine; it exchanges and attests again. Repeating it changes nothing. `session_state` for another status. */
  clearQuarantine(id: string): Promise<Device> {
    return this.#changeStatus(id, 'clear-quarantine')
  }

  /** What the security monitor holds it to for an incident ends. Repeating it changes nothing. */
  liftRestrictions(id: string): Promise<Device> {
    return this.#changeStatus(id, 'lift-restrictions')
  }

  /** Every device that is revoked, suspended or quarantined, then each change within a second or two, until the signal. */
  followRevocations(options: FollowRevocationsOptions): Promise<void> {
    const { bearer = '' } = this.#auth
    return followRevocations({ http: this.#http, bearer: async () => bearer, wait, isInSession: false }, options)
  }

  #changeStatus(
    id: string,
    action: 'suspend' | 'resume' | 'revoke' | 'clear-quarantine' | 'lift-restrictions',
  ): Promise<Device> {
    const options = { ...this.#auth, repeatable: true }
    return this.#http.post(`/v1/devices/${encodeURIComponent(id)}/${action}`, {}, device, options)
  }

  /** The newest bucket first. */
  listSessions(query: PageQuery & { deviceId?: string | undefined } = {}): Promise<Page<Session>> {
    return this.#http.get(`/v1/sessions${toQuery(query)}`, pageOf(session), this.#auth)
  }

  /** `session_state` for one that has ended already. */
  endSession(id: string): Promise<void> {
    return this.#http.delete(`/v1/sessions/${encodeURIComponent(id)}`, this.#auth)
  }

  /** The jobs of the service. */
  async listJobs(): Promise<Job[]> {
    return (await this.#http.get('/v1/jobs', pageOf(job), this.#auth)).items
  }

  /** Runs that were kept as failed, the newest 200, newest first. */
  async listFailedRuns(): Promise<FailedRun[]> {
    return (await this.#http.get('/v1/jobs/failed', pageOf(failedRun), this.#auth)).items
  }

  /** `not_found` for one that is not failed, or not any more. */
  async retryFailedRun(id: string): Promise<void> {
    await this.#http.post(`/v1/jobs/failed/${encodeURIComponent(id)}/retry`, {}, startedRun, this.#auth)
  }

  /** The id of the run, which waits in its queue then. `not_found` for a job that does not run when asked. */
  async runJob(name: string): Promise<string> {
    return (await this.#http.post(`/v1/jobs/${encodeURIComponent(name)}/run`, {}, startedRun, this.#auth)).id
  }

  /** The trust bundle that waits for a root of trust that is offline. */
  getTrustDraft(): Promise<TrustDraft> {
    return this.#http.get('/v1/trust/draft', trustDraft, this.#auth)
  }

  /** That bundle, signed; its sequence. `draft_mismatch` for any other. */
  async submitTrust(bundle: WireTrustBundle): Promise<number> {
    return (await this.#http.post('/v1/trust', bundle, storedTrust, this.#auth)).trustSequence
  }
}

/** Throws `input_invalid`, `insecure_url`. */
export function openOperator(options: HttpOptions & { apiToken: string }): QflareOperator {
  return new QflareOperator(createHttpClient(options), options.apiToken)
}
