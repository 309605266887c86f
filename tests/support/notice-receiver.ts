import { createHmac, randomBytes } from 'node:crypto'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { onTestFinished } from 'vitest'
import { MAX_LIVE_INCIDENTS } from '../../protocol/monitor/incident.ts'
import { newId } from '../../runtime/ids.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import type { MonitorEventsParts } from '../../workers/jobs/monitor-events.ts'
import { type SendIncidentNoticesParts, sendIncidentNotices } from '../../workers/jobs/send-incident-notices.ts'
import { failedConfirmation, monitorPartsOf, refusedAccess, series, watch } from './monitor.ts'
import { crypto, type TestService } from './service.ts'
import type { TestCredential } from './tls-files.ts'

/** A request as it came. */
export interface Received {
  headers: IncomingHttpHeaders
  body: string
}

export interface NoticeReceiver {
  url: string
  received: Received[]
  /** Of the requests, in their order. */
  ids(): (string | undefined)[]
  answerWith(answer: (response: ServerResponse, request: Received) => void): void
  close(): Promise<void>
}

export interface ReceiverOptions {
  port?: number
  /** HTTPS with this. */
  tls?: TestCredential
}

/** Gone at the end of the test. */
export async function startReceiver(options: ReceiverOptions = {}): Promise<NoticeReceiver> {
  const receiver = await openReceiver(options)
  onTestFinished(receiver.close)
  return receiver
}

/** Somebody who is told of incidents, over real HTTP: 204 unless a test says otherwise. */
export async function openReceiver(options: ReceiverOptions = {}): Promise<NoticeReceiver> {
  const received: Received[] = []
  let answer: Parameters<NoticeReceiver['answerWith']>[0] = (response) => void response.writeHead(204).end()
  const { tls } = options
  const server = tls === undefined ? createServer() : createTlsServer({ cert: tls.certificate, key: tls.privateKey })
  server.on('request', (req: IncomingMessage, res: ServerResponse) => {
    void text(req).then((body) => {
      const request = { headers: req.headers, body }
      received.push(request)
      answer(res, request)
    })
  })
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, '127.0.0.1', resolve))
  const close = async () => {
    const closed = new Promise((resolve) => server.close(resolve))
    server.closeAllConnections()
    await closed
  }
  return {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${(server.address() as AddressInfo).port}/notices`,
    received,
    ids: () => received.map(({ headers }) => headers['webhook-id'] as string | undefined),
    answerWith(next) {
      answer = next
    },
    close,
  }
}

/** In the form of the setting, and its bytes. */
export function makeSecret(): { text: string; key: Buffer } {
  const key = randomBytes(32)
  return { text: `whsec_${key.toString('base64')}`, key }
}

/** What Standard Webhooks says, written down anew: the signature of a request under this key. */
export function expectedSignature({ headers, body }: Received, key: Buffer): string {
  const signed = [headers['webhook-id'], headers['webhook-timestamp'], body].join('.')
  return `v1,${createHmac('sha256', key).update(signed).digest('base64')}`
}

export type NoticeParts = MonitorEventsParts & SendIncidentNoticesParts & { metrics: ReturnType<typeof createMetrics> }

/** Of a worker process of its own. */
export function noticePartsOf(
  service: TestService,
  incidentWebhook: SendIncidentNoticesParts['incidentWebhook'],
): NoticeParts {
  return {
    ...monitorPartsOf(service),
    crypto,
    clock: { now: () => service.time.now },
    metrics: createMetrics(),
    incidentWebhook,
  }
}

/** One run of the job, whose chance is always the shortest pause. */
export function send(parts: SendIncidentNoticesParts): Promise<number> {
  return sendIncidentNotices(parts, () => 0)
}

/** As many incidents, each of a device of its own; the monitor has found them. */
export async function makeIncidents(
  service: TestService,
  parts: MonitorEventsParts,
  organizationId: string,
  count = 1,
): Promise<void> {
  const devices = Array.from({ length: count }, () => newId())
  // Of one rule only so many are incidents of their own.
  const cause = (device: string, i: number) =>
    i < MAX_LIVE_INCIDENTS
      ? series(service, () => failedConfirmation(organizationId, device), 3)
      : series(service, () => refusedAccess(organizationId, device), 5)
  await watch(service, parts, devices.flatMap(cause))
}

export interface StoredNotice {
  id: string
  organization_id: string
  incident_id: string
  type: string
  body: string
  attempts: number
  /** Until the next try, by the service's clock; milliseconds. */
  dueInMs: number
}

/** What is still to be told. */
export async function storedNotices(service: TestService): Promise<StoredNotice[]> {
  const { rows } = await service.database.sql.query(
    'select *, extract(epoch from next_attempt_at) * 1000 as due from incident_notice order by id',
  )
  return rows.map(({ due, ...row }) => ({ ...row, dueInMs: Math.round(Number(due) - service.time.now) }))
}
