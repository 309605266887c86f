import { z } from 'zod'

export interface RetentionSetting {
  /** After the end of a week its attestation results and their evidence are dropped. More than the longest age that a policy admits. */
  attestationDays: number
  /** After its resolution an incident is deleted. */
  incidentDays: number
}

const days = (min: number) =>
  z
    .string()
    .regex(/^[0-9]{1,4}$/, 'is not a decimal number')
    .transform(Number)
    .pipe(z.int().min(min).max(3_650))
    .default(400)

export const retentionVariables = {
  QFLARE_ATTESTATION_RETENTION_DAYS: days(7),
  QFLARE_INCIDENT_RETENTION_DAYS: days(30),
} as const

export function retentionSetting(variables: Record<keyof typeof retentionVariables, number>): RetentionSetting {
  return {
    attestationDays: variables.QFLARE_ATTESTATION_RETENTION_DAYS,
    incidentDays: variables.QFLARE_INCIDENT_RETENTION_DAYS,
  }
}
