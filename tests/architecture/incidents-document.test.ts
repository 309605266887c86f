import { describe, expect, test } from 'vitest'
import { isOfLife, type MonitorRule, monitorRule, monitorRuleNames } from '../../protocol/monitor/rules.ts'
import { monitorSettings } from '../../protocol/monitor/settings.ts'
import { readText } from './repository.ts'

const path = 'docs/incidents.md'

describe(path, () => {
  test('has a row for every rule, in the order of the code, that says what the code says, and no other', () => {
    expect(rowsOf('Rules')).toEqual(monitorRuleNames.map((name) => toRow(name, monitorRule(name))))
  })

  test('says of every rule once who can cause it', () => {
    const names = rowsOf('What an incident proves').flatMap(([name = '']) => name.replaceAll('`', '').split(', '))
    expect(names.toSorted()).toEqual(monitorRuleNames.toSorted())
  })

  test('shows settings that the service takes', () => {
    const [, example = ''] = /```json\n([\s\S]*?)```/.exec(readText(path)) ?? []
    expect(monitorSettings.safeParse(JSON.parse(example)).error).toBeUndefined()
  })

  test('explains every member of the settings, and no other', () => {
    const { rules, ...members } = monitorSettings.shape
    const ofRule = Object.keys(rules.unwrap().valueType.shape).map((name) => `rules.*.${name}`)
    const explained = rowsOf('Settings').map(([name = '']) => name.replaceAll('`', ''))
    expect(explained).toEqual([...Object.keys(members), ...ofRule])
  })
})

function toRow(name: string, rule: MonitorRule): string[] {
  const { escalation, windowSeconds } = rule
  const severity =
    escalation === undefined
      ? rule.severity
      : `${rule.severity}; ${escalation.severity} from ${escalation.devices} devices on`
  const within = isOfLife(rule)
    ? 'its life'
    : windowSeconds % 3_600 === 0
      ? `${windowSeconds / 3_600} h`
      : `${windowSeconds / 60} min`
  const mayRespond = rule.isProved ? 'yes' : 'no'
  return [`\`${name}\``, severity, String(rule.threshold), within, String(rule.score), mayRespond, rule.meaning]
}

/** The cells of the table under a heading, without its head. */
function rowsOf(heading: string): string[][] {
  const section = readText(path).split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? ''
  const rows = [...section.matchAll(/^\|(.*)\|$/gm)].map(([, cells = '']) =>
    cells.split('|').map((cell) => cell.trim()),
  )
  expect(rows.length, heading).toBeGreaterThan(2)
  return rows.slice(2)
}
