import { expect, test } from 'vitest'
import { z } from 'zod'
import { retentionSetting, retentionVariables } from '../../../runtime/retention-setting.ts'

const variables = z.object(retentionVariables)

test.each([
  ['QFLARE_ATTESTATION_RETENTION_DAYS', 7],
  ['QFLARE_INCIDENT_RETENTION_DAYS', 30],
])('%s is %i days at least, ten years at most, and more than a year by default', (name, least) => {
  for (const text of [`${least - 1}`, '3651', '12x', '3.5', '-1', '1e3', ' 10', '']) {
    expect(variables.safeParse({ [name]: text }).success, text).toBe(false)
  }
  for (const text of [`${least}`, '3650']) expect(variables.safeParse({ [name]: text }).success, text).toBe(true)
  expect(retentionSetting(variables.parse({}))).toEqual({ attestationDays: 400, incidentDays: 400 })
})
