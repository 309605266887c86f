import { z } from 'zod'
import {
  incidentSeverities,
  isOfLife,
  LONGEST_WINDOW_SECONDS,
  type MonitorRule,
  type MonitorRuleName,
  monitorRule,
  monitorRuleNames,
  type ResponseName,
  responseNames,
} from './rules.ts'
import { MOST_COUNTED } from './subjects.ts'

/** What an organization wants of one rule; what it does not say is as the rule says. */
const ruleSettings = z.strictObject({
  enabled: z.boolean().optional(),
  threshold: z.int().min(1).max(MOST_COUNTED).optional(),
  windowSeconds: z.int().min(60).max(LONGEST_WINDOW_SECONDS).optional(),
  severity: z.enum(incidentSeverities).optional(),
  response: z.enum(responseNames).optional(),
})

/**
 * How the security monitor works for an organization. Without anything it opens incidents and does nothing else. A response is refused
 * for a rule whose events anybody on the network can cause.
 */
export const monitorSettings = z.strictObject({
  /** Responses are told of and not taken. */
  dryRun: z.boolean().default(false),
  /** Devices that may be responded to within an hour; from then on there are alarms only. */
  responsesPerHour: z.int().min(0).max(1_000).default(5),
  /** How long a device is slowed. */
  slowMinutes: z.int().min(1).max(1_440).default(60),
  rules: z
    .partialRecord(z.enum(monitorRuleNames as [MonitorRuleName, ...MonitorRuleName[]]), ruleSettings)
    .default({})
    .refine(
      (rules) => Object.entries(rules).every(([name, { response }]) => mayRespond(name as MonitorRuleName, response)),
      { error: 'Anybody on the network can cause what one of these rules counts: it takes the response none alone.' },
    )
    .refine(
      (rules) =>
        Object.entries(rules).every(([name, { windowSeconds }]) =>
          mayHaveWindow(name as MonitorRuleName, windowSeconds),
        ),
      { error: 'One of these rules counts what a key was used for all of its life: it takes no windowSeconds.' },
    ),
})
export type MonitorSettings = z.output<typeof monitorSettings>

export const defaultMonitorSettings: MonitorSettings = monitorSettings.parse({})

/** Undefined for text that is no settings. */
export function parseMonitorSettings(text: string): MonitorSettings | undefined {
  try {
    return monitorSettings.safeParse(JSON.parse(text)).data
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

function mayRespond(name: MonitorRuleName, response: ResponseName | undefined): boolean {
  return monitorRule(name).isProved || response === undefined || response === 'none'
}

function mayHaveWindow(name: MonitorRuleName, windowSeconds: number | undefined): boolean {
  return windowSeconds === undefined || !isOfLife(monitorRule(name))
}

/** A rule as it holds for an organization. */
export interface EffectiveRule extends MonitorRule {
  name: MonitorRuleName
  isEnabled: boolean
  response: ResponseName
}

/** Those that are on. */
export function effectiveRules(settings: MonitorSettings): EffectiveRule[] {
  return everyRule(settings).filter(({ isEnabled }) => isEnabled)
}

/** Those that are off too. */
export function everyRule({ rules }: MonitorSettings): EffectiveRule[] {
  return monitorRuleNames.map((name) => {
    const { enabled = true, threshold, windowSeconds, severity, response = 'none' } = rules[name] ?? {}
    const rule = monitorRule(name)
    return {
      ...rule,
      name,
      isEnabled: enabled,
      response: rule.isProved ? response : 'none',
      threshold: threshold ?? rule.threshold,
      windowSeconds: windowSeconds ?? rule.windowSeconds,
      severity: severity ?? rule.severity,
    }
  })
}
