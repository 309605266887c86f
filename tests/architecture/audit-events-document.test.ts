import { describe, expect, test } from 'vitest'
import { auditEventTypes, auditSeverities } from '../../protocol/log/audit-event-types.ts'
import { listFiles, readText } from './repository.ts'

const path = 'docs/audit-events.md'

const types = Object.entries(auditEventTypes).map(([type, { severity, meaning, subject, data }]) => ({
  type,
  severity: severity as string,
  subject: [...subject] as string[],
  data: [...data] as string[],
  meaning: meaning as string,
}))

describe(path, () => {
  test('has a row for every type of event, in the order of the code, that says what the code says, and no other', () => {
    expect(rowsOf('Types', 5).map(toType)).toEqual(types)
  })

  test('says of every severity what it means', () => {
    expect(rowsOf('Severities', 2).map(([severity]) => severity)).toEqual(auditSeverities.map((name) => `\`${name}\``))
  })

  test('explains every member of subject and data once, and no other', () => {
    const explained = rowsOf('Members', 2).flatMap(([names = '']) => namesIn(names))
    const used = types.flatMap(({ subject, data }) => [...subject, ...data]).map((name) => name.replace('?', ''))
    expect(explained.toSorted()).toEqual([...new Set(used)].toSorted())
  })

  test('leaves no cell empty', () => {
    const cells = [...rowsOf('Types', 5), ...rowsOf('Severities', 2), ...rowsOf('Members', 2)].flat()
    expect(cells.filter((cell) => cell === '')).toEqual([])
  })
})

describe('the types of audit events', () => {
  test('are named by what they happen to and what happened', () => {
    expect(types.filter(({ type }) => !/^[a-z_]+\.[a-z_]+$/.test(type))).toEqual([])
  })

  test('name no member twice', () => {
    const twice = types.filter(({ subject, data }) =>
      [subject, data].some((names) => new Set(names.map((name) => name.replace('?', ''))).size < names.length),
    )
    expect(twice).toEqual([])
  })

  test('are each written somewhere', () => {
    const sources = listFiles()
      .filter((file) => /^(server|workers|operations|runtime)\/.*\.ts$/.test(file))
      .map(readText)
      .join('\n')
    expect(types.filter(({ type }) => !sources.includes(`'${type}'`)).map(({ type }) => type)).toEqual([])
  })
})

/** The cells of the table under a heading, without its head. */
function rowsOf(heading: string, columns: number): string[][] {
  const section = readText(path).split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? ''
  const rows = [...section.matchAll(/^\|(.*)\|$/gm)].map(([, cells = '']) =>
    cells.split('|').map((cell) => cell.trim()),
  )
  expect(rows.length, heading).toBeGreaterThan(2)
  expect(new Set(rows.map((cells) => cells.length)), heading).toEqual(new Set([columns]))
  return rows.slice(2)
}

function toType([type = '', severity = '', subject = '', data = '', meaning = '']: string[]) {
  return { type: type.replaceAll('`', ''), severity, subject: namesIn(subject), data: namesIn(data), meaning }
}

/** What stands in backticks. */
function namesIn(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name)
}
