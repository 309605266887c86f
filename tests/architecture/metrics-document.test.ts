import { expect, test } from 'vitest'
import { entries as clientEntries } from '../../client/command/entries.ts'
import { entries as operationEntries } from '../../operations/entries.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { tables } from './markdown.ts'
import { listFiles, readText } from './repository.ts'

test('docs/operations.md has a row for every metric, in the order of the code, with its labels, and no other', async () => {
  const known = Object.values(createMetrics()).filter((metric) => 'name' in metric)
  const expected = known.map((metric) => {
    const { name, labelNames } = metric as unknown as { name: string; labelNames: string[] }
    return [`\`${name.replace('qflare_', '')}\``, labelNames.map((label) => `\`${label}\``).join(', ')]
  })
  expect(expected.length).toBeGreaterThan(35)
  const rows = tables('docs/operations.md').find(({ heading }) => heading === 'Metrics and alerts')?.rows ?? []
  expect(rows.map(([name, labels]) => [name, labels])).toEqual(expected)
  expect(rows.filter((row) => row.length !== 5 || row.slice(2).includes(''))).toEqual([])
})

test('runbooks name commands and settings that there are', () => {
  const commands = [...clientEntries, ...operationEntries].map(({ name }) => name)
  const text = listFiles()
    .filter((path) => path.startsWith('docs/runbooks/'))
    .map(readText)
    .join('\n')
  const quoted = text.match(/`qflare [^`]+/g) ?? []
  expect(quoted.length).toBeGreaterThan(20)
  const isCommand = (each: string) => commands.some((name) => `${each} `.startsWith(`\`qflare ${name} `))
  expect(quoted.filter((each) => !isCommand(each))).toEqual([])
  const settings = text.match(/\bQFLARE_[A-Z_]+/g) ?? []
  const ofCommand = ['QFLARE_URL', 'QFLARE_ADMIN_TOKEN_FILE']
  const example = readText('config.example.env')
  expect(settings.filter((name) => !ofCommand.includes(name) && !example.includes(`\n${name}=`))).toEqual([])
})
