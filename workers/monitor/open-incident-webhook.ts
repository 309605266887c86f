import { parseWebhookSecret } from '../../protocol/monitor/webhook-signature.ts'
import { ConfigError } from '../../runtime/config.ts'
import type { IncidentWebhookSetting } from '../../runtime/incident-webhook-setting.ts'
import { readSecretFile } from '../../runtime/secrets.ts'

/** Where notices of incidents go. */
export interface IncidentWebhook {
  url: string
  /** One, or two while a receiver goes over from one to the next: each signs. */
  keys: readonly Uint8Array[]
  /** For an answer, from the look-up of its name on. */
  timeoutMs: number
}

const NAME = 'QFLARE_INCIDENT_WEBHOOK_SECRET_FILE'
const TIMEOUT_MS = 10_000

/** With the secrets in the file of the setting, one a line. Throws ConfigError. */
export async function openIncidentWebhook({ url, secretFile }: IncidentWebhookSetting): Promise<IncidentWebhook> {
  const content = await readSecretFile(secretFile, true).catch((error: unknown) => {
    if (error instanceof ConfigError) throw error
    throw new ConfigError([`${NAME}: ${secretFile} cannot be read (${String(error)}).`])
  })
  const lines = content
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean)
  const keys = lines.flatMap((line) => parseWebhookSecret(line) ?? [])
  if (keys.length !== lines.length || keys.length === 0 || keys.length > 2) {
    throw new ConfigError([
      `${NAME}: ${secretFile} does not hold one secret, or two on lines of their own: whsec_ and base64 of 24 to 64 bytes.`,
    ])
  }
  return { url, keys, timeoutMs: TIMEOUT_MS }
}
