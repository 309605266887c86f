import { z } from 'zod'
import { incidentSeverities, responseNames } from '../../protocol/monitor/rules.ts'
import { type EffectiveRule, monitorSettings } from '../../protocol/monitor/settings.ts'
import { timestamp } from '../../protocol/wire.ts'
import { defineRoute, type Route } from '../route.ts'
import type { MonitorSettingsService, ShownMonitorSettings } from '../services/monitor-settings.ts'

const severity = z.enum(incidentSeverities)

const ruleJson = z
  .strictObject({
    name: z.string(),
    meaning: z.string(),
    types: z.array(z.string()).meta({ description: 'of the events that it counts' }),
    isEnabled: z.boolean(),
    threshold: z.int(),
    windowSeconds: z.int().meta({ description: 'of no meaning for identity-key-worn' }),
    severity,
    escalation: z
      .strictObject({ devices: z.int(), severity })
      .nullable()
      .meta({ description: 'an incident of so many devices is of this severity' }),
    response: z.enum(responseNames),
    mayRespond: z.boolean().meta({ description: 'false: anybody on the network can cause what it counts' }),
    score: z.number().meta({ description: 'how much each that is counted raises the threat score of its device' }),
  })
  .meta({ id: 'MonitorRule' })

const settingsJson = z
  .strictObject({
    settings: monitorSettings,
    changedAt: timestamp.nullable(),
    isReadable: z.boolean().meta({ description: 'false: what is stored is not valid, and the defaults hold' }),
    rules: z.array(ruleJson).meta({ description: 'every rule as it holds' }),
  })
  .meta({ id: 'ShownMonitorSettings' })

export function monitorSettingsRoutes(settings: MonitorSettingsService): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/v1/monitor-settings',
      access: 'operator',
      summary: 'Show how the security monitor works for the organization',
      answers: { 200: { description: 'The settings, and every rule as it holds.', body: settingsJson } },
      async answer({ caller }) {
        return { status: 200, body: toJson(await settings.get(caller)) }
      },
    }),
    defineRoute({
      method: 'put',
      path: '/v1/monitor-settings',
      access: 'admin',
      summary: 'Change how the security monitor works for the organization, as a whole',
      body: monitorSettings,
      answers: { 200: { description: 'The settings. Repeating it changes nothing.', body: settingsJson } },
      async answer({ caller, body, requestId }) {
        return { status: 200, body: toJson(await settings.replace(caller, body, requestId)) }
      },
    }),
  ]
}

function toJson({ changedAt, rules, ...shown }: ShownMonitorSettings): z.input<typeof settingsJson> {
  return { ...shown, changedAt: changedAt ?? null, rules: rules.map(toRuleJson) }
}

function toRuleJson({ escalation, isProved, types, ...rule }: EffectiveRule): z.input<typeof ruleJson> {
  return {
    name: rule.name,
    meaning: rule.meaning,
    types: [...types],
    isEnabled: rule.isEnabled,
    threshold: rule.threshold,
    windowSeconds: rule.windowSeconds,
    severity: rule.severity,
    escalation: escalation ?? null,
    response: rule.response,
    mayRespond: isProved,
    score: rule.score,
  }
}
