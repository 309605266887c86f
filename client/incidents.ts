import { createHttpClient, type HttpClient, type HttpOptions } from './http.ts'
import type { RequestOptions } from './http-request.ts'
import {
  type Incident,
  type IncidentDevice,
  incident,
  incidentDevice,
  type ShownMonitorSettings,
  shownMonitorSettings,
  type ThreatScore,
  threatScore,
  type WholeIncident,
  wholeIncident,
} from './incident-answers.ts'
import { allPages, type Page, type PageQuery, pageOf, toQuery } from './pages.ts'

export type { Incident, IncidentDevice, ShownMonitorSettings, ThreatScore, WholeIncident }

/** What is given must all hold. */
export interface IncidentFilter {
  status?: string | undefined
  severity?: string | undefined
  rule?: string | undefined
  /** In which this device is. */
  deviceId?: string | undefined
}

/** What an organization wants of the security monitor; what is not given is as the service says (docs/incidents.md). */
export interface MonitorSettingsRequest {
  dryRun?: boolean | undefined
  responsesPerHour?: number | undefined
  slowMinutes?: number | undefined
  rules?: Readonly<Record<string, object>> | undefined
}

/**
 * What the security monitor found (docs/incidents.md), with an API token of role operator or admin. One that administers the service
 * sees what was found of the service itself too.
 */
export class QflareIncidents {
  readonly #http: HttpClient
  readonly #auth: RequestOptions

  constructor(http: HttpClient, apiToken: string) {
    this.#http = http
    this.#auth = { bearer: apiToken }
  }

  /** Newest first. */
  listIncidents(query: PageQuery & IncidentFilter = {}): Promise<Page<Incident>> {
    return this.#http.get(`/v1/incidents${toQuery(query)}`, pageOf(incident), this.#auth)
  }

  /** With its evidence: `QflareAuditor` gets each of these events, and its proof. */
  getIncident(id: string): Promise<WholeIncident> {
    return this.#http.get(pathOf(id), wholeIncident, this.#auth)
  }

  listIncidentDevices(id: string, query: PageQuery = {}): Promise<Page<IncidentDevice>> {
    return this.#http.get(`${pathOf(id)}/devices${toQuery(query)}`, pageOf(incidentDevice), this.#auth)
  }

  /** Every device in it, page by page. */
  incidentDevices(id: string): AsyncGenerator<IncidentDevice> {
    return allPages((page) => this.listIncidentDevices(id, page))
  }

  /** It is being looked at. Repeating it changes nothing. `session_state` for one that is resolved. */
  acknowledgeIncident(id: string): Promise<Incident> {
    return this.#http.post(`${pathOf(id)}/acknowledge`, {}, incident, { ...this.#auth, repeatable: true })
  }

  /** It is over: the same opens a new one. Repeating it changes nothing. */
  resolveIncident(id: string): Promise<Incident> {
    return this.#http.post(`${pathOf(id)}/resolve`, {}, incident, { ...this.#auth, repeatable: true })
  }

  getMonitorSettings(): Promise<ShownMonitorSettings> {
    return this.#http.get('/v1/monitor-settings', shownMonitorSettings, this.#auth)
  }

  /** As a whole, for an admin. Repeating it changes nothing. */
  setMonitorSettings(settings: MonitorSettingsRequest): Promise<ShownMonitorSettings> {
    return this.#http.replace('/v1/monitor-settings', settings, shownMonitorSettings, this.#auth)
  }

  /** Devices by their threat score, the highest first; `limit` 1 to 200, 50 without it. */
  async listThreatScores(query: { limit?: number | undefined } = {}): Promise<ThreatScore[]> {
    return (await this.#http.get(`/v1/threat-scores${toQuery(query)}`, pageOf(threatScore), this.#auth)).items
  }
}

function pathOf(id: string): string {
  return `/v1/incidents/${encodeURIComponent(id)}`
}

/** Throws `input_invalid`, `insecure_url`. */
export function openIncidents(options: HttpOptions & { apiToken: string }): QflareIncidents {
  const { apiToken, ...http } = options
  return new QflareIncidents(createHttpClient(http), apiToken)
}
