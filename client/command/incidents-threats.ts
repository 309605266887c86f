import { defineCommand } from './define-command.ts'
import { parseCount } from './parse-values.ts'
import { formatDistance, printResult, toTable } from './print.ts'
import { openIncidentsOf, operatorNotes } from './settings.ts'

export const incidentsThreats = defineCommand({
  name: 'incidents threats',
  summary: 'Lists devices by their threat score, the highest first.',
  flags: {
    limit: {
      type: 'string',
      value: 'N',
      parse: parseCount,
      expects: 'a number from 1',
      help: 'how many at most, up to 200; default 50',
    },
  },
  examples: ['qflare incidents threats --limit 10'],
  notes: `A score rises with what the rules count of a device, and half of it is gone in an hour. It orders what to look at, and nothing is refused for it: much of it anybody on the network can cause. With --json: {"items": […]} as docs/api.md describes them.\n\n${operatorNotes}`,
  async run({ values }) {
    const items = await (await openIncidentsOf(values)).listThreatScores({ limit: values.limit })
    const now = Date.now()
    const rows = items.map(({ deviceId, score, status, scoredAt, name }) => [
      deviceId,
      score.toFixed(0),
      status ?? '-',
      formatDistance(scoredAt, now),
      name ?? '-',
    ])
    const text =
      items.length === 0
        ? 'No device has a threat score.'
        : toTable(['DEVICE', 'SCORE', 'STATUS', 'RAISED', 'NAME'], rows)
    await printResult(values.json, { items }, text)
    return undefined
  },
})
