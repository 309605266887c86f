import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { configVariables, loadConfig } from '../../../runtime/config.ts'

const example = readFileSync(join(import.meta.dirname, '..', '..', '..', 'config.example.env'), 'utf8')

describe('config.example.env', () => {
  const entries = [...example.matchAll(/^([A-Z_]+)=(.*)$/gm)].map(
    ([, name, value]) => [name, value] as [string, string],
  )

  test('names every variable, and the root key, once', () => {
    expect(entries.map(([name]) => name).sort()).toEqual([...configVariables, 'QFLARE_ROOT_KEY'].sort())
  })

  test('holds the defaults', () => {
    expect(loadConfig(Object.fromEntries(entries))).toEqual(loadConfig({}))
  })

  test('shows the default of every variable that has one', () => {
    const withDefault = entries.filter(([, value]) => value !== '').map(([name]) => name)
    expect(withDefault).toEqual([
      'HOST',
      'PORT',
      'QFLARE_TLS_GROUPS',
      'QFLARE_OPERATOR_HOST',
      'QFLARE_DRAIN_SECONDS',
      'QFLARE_LIMIT_CONNECTIONS',
      'QFLARE_LIMIT_ADDRESS',
      'QFLARE_LIMIT_ADDRESS_REFUSED',
      'QFLARE_LIMIT_API_TOKEN',
      'QFLARE_LIMIT_DEVICE',
      'QFLARE_LIMIT_ORGANIZATION',
      'QFLARE_SECURITY_LANGUAGES',
      'QFLARE_DATA_DIR',
      'QFLARE_DATABASE_CONNECTIONS',
      'QFLARE_TRUST_DOMAIN',
      'QFLARE_PROFILE',
      'QFLARE_ROLES',
      'QFLARE_IDENTITY_KEY_MAX_AGE_DAYS',
      'QFLARE_API_TOKEN_MAX_DAYS',
      'QFLARE_COLLATERAL_WARNING_HOURS',
      'QFLARE_TRACES_RATIO',
      'QFLARE_SIGNING_KEY_DAYS',
      'QFLARE_SIGNING_KEY_OVERLAP_MINUTES',
      'QFLARE_AUDIT_KEY_DAYS',
      'QFLARE_AUDIT_KEY_OVERLAP_DAYS',
      'QFLARE_KEK_DAYS',
      'QFLARE_EXCHANGE_QUEUE',
      'QFLARE_SESSION_RETENTION_DAYS',
      'QFLARE_ATTESTATION_RETENTION_DAYS',
      'QFLARE_INCIDENT_RETENTION_DAYS',
      'QFLARE_LOG_LEVEL',
    ])
  })

  test('explains each group of variables', () => {
    for (const block of example.trim().split('\n\n')) expect(block).toMatch(/^# /)
  })
})
