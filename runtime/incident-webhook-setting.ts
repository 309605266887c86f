import { resolve } from 'node:path'
import { z } from 'zod'
import { isLoopback } from './address-problems.ts'

/** Where whoever runs the service is told of incidents. */
export interface IncidentWebhookSetting {
  /** Often a secret itself: not to be logged. */
  url: string
  secretFile: string
}

export const incidentWebhookVariables = {
  QFLARE_INCIDENT_WEBHOOK_URL: z
    .string()
    .refine(
      isReceiver,
      'is not a URL that begins with https://, or http:// on this machine, without a user, a password and a fragment',
    )
    .optional(),
  QFLARE_INCIDENT_WEBHOOK_SECRET_FILE: z.string().min(1).optional(),
}

type Variables = { [K in keyof typeof incidentWebhookVariables]?: string | undefined }

export function incidentWebhookSetting({
  QFLARE_INCIDENT_WEBHOOK_URL: url,
  QFLARE_INCIDENT_WEBHOOK_SECRET_FILE: secretFile,
}: Variables): IncidentWebhookSetting | undefined {
  return url === undefined || secretFile === undefined ? undefined : { url, secretFile: resolve(secretFile) }
}

export function incidentWebhookProblems({
  QFLARE_INCIDENT_WEBHOOK_URL: url,
  QFLARE_INCIDENT_WEBHOOK_SECRET_FILE: secretFile,
}: Variables): string[] {
  if ((url === undefined) === (secretFile === undefined)) return []
  return url === undefined
    ? ['QFLARE_INCIDENT_WEBHOOK_URL: is required with QFLARE_INCIDENT_WEBHOOK_SECRET_FILE: where notices go.']
    : ['QFLARE_INCIDENT_WEBHOOK_SECRET_FILE: is required with QFLARE_INCIDENT_WEBHOOK_URL: notices are signed.']
}

/** Notices say what is wrong with a fleet: over plain HTTP they do not leave the machine. */
function isReceiver(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || url.username !== '' || url.password !== '' || text.includes('#')) return false
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname.replace(/^\[|\]$/g, '')))
}
