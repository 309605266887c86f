import { ProtocolError } from '../protocol/errors.ts'
import type { FederationPolicyName } from '../protocol/rounds/federation-policies.ts'
import { roundOpened } from '../protocol/rounds/messages.ts'
import { type RoundCertificateFile, roundCertificateFile } from '../protocol/rounds/round-certificate.ts'
import {
  type Federation,
  type FederationMember,
  federation,
  federationMember,
  type Participation,
  participation,
  type Round,
  round as roundAnswer,
} from './federation-answers.ts'
import { type FollowRevocationsOptions, followRevocations } from './follow-revocations.ts'
import { createHttpClient, type HttpClient, type HttpOptions } from './http.ts'
import type { RequestOptions } from './http-request.ts'
import { allPages, type Page, type PageQuery, pageOf, toQuery } from './pages.ts'
import { parseInput } from './parse-input.ts'
import { roundNames } from './round-context.ts'
import { roundPath } from './round-path.ts'
import { type Wait, wait } from './wait.ts'

export type { Federation, FederationMember, Participation, Round }

const MAX_LIST_BYTES = 4 << 20
/** Of 100,000 participants, with the bundles of many rotations. */
export const MAX_CERTIFICATE_BYTES = 64 << 20

/**
 * Federations and their rounds (docs/api.md): with an API token of role coordinator or admin by `openFederations`, or as a
 * coordinator that is assigned to them by `QflareDevice.federations`. The keys of a round, and its end, are its coordinator's alone.
 */
export class QflareFederations {
  readonly #http: HttpClient
  readonly #bearer: () => Promise<string>
  readonly #session: { wait: Wait } | undefined

  /** `session`: the bearer is the access token of one, which others renew. */
  constructor(http: HttpClient, bearer: () => Promise<string>, session?: { wait: Wait }) {
    this.#http = http
    this.#bearer = bearer
    this.#session = session
  }

  /**
   * `policy`: who is admitted to its rounds, by name (`production`, `development`), or by the tiers and the age in seconds of results
   * of the device's session (`affirming,warning/900`); the service's own choice without it.
   */
  async createFederation(request: {
    name: string
    policy?: FederationPolicyName | (string & {}) | undefined
  }): Promise<Federation> {
    return this.#http.post('/v1/federations', request, federation, await this.#auth())
  }

  /** Newest first. */
  async listFederations(query: PageQuery = {}): Promise<Page<Federation>> {
    return this.#http.get(`/v1/federations${toQuery(query)}`, pageOf(federation), await this.#auth())
  }

  async getFederation(id: string): Promise<Federation> {
    return this.#http.get(federationPath(id), federation, await this.#auth())
  }

  async listMembers(id: string, query: PageQuery = {}): Promise<Page<FederationMember>> {
    return this.#http.get(
      `${federationPath(id)}/members${toQuery(query)}`,
      pageOf(federationMember),
      await this.#auth(),
    )
  }

  /** Every member, page by page. */
  members(id: string): AsyncGenerator<FederationMember> {
    return allPages((page) => this.listMembers(id, page))
  }

  /** Repeating it changes nothing. */
  async addMember(id: string, deviceId: string): Promise<void> {
    return this.#http.put(`${federationPath(id)}/members/${encodeURIComponent(deviceId)}`, await this.#auth())
  }

  async removeMember(id: string, deviceId: string): Promise<void> {
    return this.#http.delete(`${federationPath(id)}/members/${encodeURIComponent(deviceId)}`, await this.#auth())
  }

  /** Who may open its rounds and have their keys. Repeating it changes nothing. */
  async addCoordinator(id: string, principalId: string): Promise<void> {
    return this.#http.put(`${federationPath(id)}/coordinators/${encodeURIComponent(principalId)}`, await this.#auth())
  }

  async removeCoordinator(id: string, principalId: string): Promise<void> {
    const path = `${federationPath(id)}/coordinators/${encodeURIComponent(principalId)}`
    return this.#http.delete(path, await this.#auth())
  }

  /** Its number: `round`, or the next one without it. */
  async openRound(
    federationId: string,
    request: { round?: number | undefined; minParticipants?: number | undefined } = {},
  ): Promise<number> {
    const path = `${federationPath(federationId)}/rounds`
    return (await this.#http.post(path, request, roundOpened, await this.#auth())).round
  }

  /** Newest first. */
  async listRounds(federationId: string, query: PageQuery = {}): Promise<Page<Round>> {
    const path = `${federationPath(federationId)}/rounds${toQuery(query)}`
    return this.#http.get(path, pageOf(roundAnswer), await this.#auth())
  }

  async getRound(federationId: string, round: number): Promise<Round> {
    return this.#http.get(pathOf(federationId, round), roundAnswer, await this.#auth())
  }

  /** For whom a key of the round was given out, by id. Of those with `epoch_gone` the coordinator asks again. */
  async listParticipants(
    federationId: string,
    round: number,
    query: PageQuery & { status?: Participation['status'] | undefined } = {},
  ): Promise<Page<Participation>> {
    const path = `${pathOf(federationId, round)}/participants${toQuery(query)}`
    return this.#http.get(path, pageOf(participation), await this.#auth())
  }

  /** All of these, page by page. */
  participants(
    federationId: string,
    round: number,
    filter: { status?: Participation['status'] | undefined } = {},
  ): AsyncGenerator<Participation> {
    return allPages((page) => this.listParticipants(federationId, round, { ...filter, ...page }))
  }

  /** Of a round that has ended; `verifyRoundCertificate` verifies it. Its proof is missing for the second after the closing. */
  async getRoundCertificate(federationId: string, round: number): Promise<RoundCertificateFile> {
    const path = `${pathOf(federationId, round)}/certificate`
    const file = await this.#http.get(path, roundCertificateFile, await this.#auth(MAX_CERTIFICATE_BYTES))
    requireRound(file, { federationId, round })
    return file
  }

  /**
   * Which members of these federations may not take part, until the signal: everybody who is revoked, suspended or quarantined, then
   * each change within a second or two. An API token of role operator hears of all devices.
   */
  followRevocations(options: FollowRevocationsOptions): Promise<void> {
    const parts = { http: this.#http, bearer: this.#bearer, wait: this.#session?.wait ?? wait }
    return followRevocations({ ...parts, isInSession: this.#session !== undefined }, options)
  }

  async #auth(maxAnswerBytes = MAX_LIST_BYTES): Promise<RequestOptions> {
    return { bearer: await this.#bearer(), maxAnswerBytes }
  }
}

/** With an API token. Throws `input_invalid`, `insecure_url`. */
export function openFederations(options: HttpOptions & { apiToken: string }): QflareFederations {
  const { apiToken, ...http } = options
  return new QflareFederations(createHttpClient(http), async () => apiToken)
}

function federationPath(id: string): string {
  return `/v1/federations/${encodeURIComponent(id)}`
}

/** Throws `input_invalid`. */
function pathOf(federationId: string, round: number): string {
  const names = parseInput(roundNames, { federationId, round })
  return roundPath(names.federationId, names.round)
}

/** A certificate may be genuine, and of another round. Throws `round_invalid`. */
export function requireRound(
  { certificate }: Pick<RoundCertificateFile, 'certificate'>,
  asked: { federationId: string; round: number },
): void {
  if (certificate.federationId === asked.federationId && certificate.round === asked.round) return
  throw new ProtocolError('round_invalid', 'The server gave the certificate of another round.')
}
