import { isOfLife, monitorRule, monitorRuleNames } from '../../protocol/monitor/rules.ts'
import type { ShownMonitorSettings } from '../incidents.ts'
import { defineCommand } from './define-command.ts'
import { MAX_POLICY_BYTES, readJsonFile } from './policy-argument.ts'
import { formatMinutes, formatTime, printResult, toList, toTable } from './print.ts'
import { unusable } from './regular-file.ts'
import { openIncidentsOf, operatorNotes } from './settings.ts'

export const incidentsSettings = defineCommand({
  name: 'incidents settings',
  summary: 'Shows how the security monitor works for the organization: every rule as it holds.',
  flags: {},
  examples: ['qflare incidents settings', 'qflare incidents settings --json'],
  notes: `With --json: what docs/api.md describes; its member settings is what qflare incidents configure takes. ${operatorNotes}`,
  async run({ values }) {
    const shown = await (await openIncidentsOf(values)).getMonitorSettings()
    await printResult(values.json, shown, settingsText(shown))
    return undefined
  },
})

export const incidentsConfigure = defineCommand({
  name: 'incidents configure',
  positionals: ['FILE'],
  summary: 'Changes how the security monitor works for the organization, as a whole.',
  flags: {},
  examples: ['qflare incidents configure monitor.json'],
  notes: `FILE is JSON such as {"dryRun": true, "rules": {"access-refused": {"threshold": 10, "response": "suspend"}}}; what it does not say is as the service says, so that {} is how it began. incidents.md describes every member. It takes an API token of role admin. ${operatorNotes}`,
  async run({ values, positionals: [path = ''] }) {
    const settings = await readJsonFile(path, MAX_POLICY_BYTES)
    if (typeof settings !== 'object' || settings === null) throw unusable(`${path} holds no settings.`)
    const shown = await (await openIncidentsOf(values)).setMonitorSettings(settings)
    await printResult(values.json, shown, settingsText(shown))
    return undefined
  },
})

function settingsText({ settings, changedAt, isReadable, rules }: ShownMonitorSettings): string {
  const facts = toList([
    ['changed', changedAt === null ? 'never' : formatTime(changedAt, Date.now())],
    ...(isReadable ? [] : [['stored', 'nothing that is valid: as if it had never been changed'] as const]),
    ['dry run', settings.dryRun ? 'yes: responses are told of and not taken' : 'no'],
    ['devices responded to', `${settings.responsesPerHour} an hour at most`],
    ['slowed', `for ${formatMinutes(settings.slowMinutes)}`],
  ])
  const rows = rules.map((rule) => [
    rule.name,
    rule.isEnabled ? 'yes' : 'NO',
    String(rule.threshold),
    windowText(rule),
    rule.severity,
    rule.mayRespond ? rule.response : 'never',
    rule.meaning,
  ])
  const header = ['RULE', 'ON', 'THRESHOLD', 'WITHIN', 'SEVERITY', 'RESPONSE', 'MEANING']
  return `${facts}\n\n${toTable(header, rows)}`
}

function windowText({ name, windowSeconds }: ShownMonitorSettings['rules'][number]): string {
  const known = monitorRuleNames.find((one) => one === name)
  const isForLife = known !== undefined && isOfLife(monitorRule(known))
  return isForLife ? 'its life' : formatMinutes(Math.round(windowSeconds / 60))
}
