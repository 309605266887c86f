import { styleText } from 'node:util'
import { screenWidth } from '../client/command/terminal.ts'
import type { QflareOperator } from '../client/operator.ts'
import type { Step } from './step.ts'

const PER_LINE = 50
const MARGIN = 6

const glyphs: Readonly<Record<string, { glyph: string; color: 'green' | 'red' | 'yellow' | 'gray' }>> = {
  ACTIVE: { glyph: '●', color: 'green' },
  QUARANTINED: { glyph: '✖', color: 'red' },
  SUSPENDED: { glyph: '◌', color: 'yellow' },
  REVOKED: { glyph: '·', color: 'gray' },
}

/** The fleet as the service has it now: a sign for each device, in the order of their names. */
export async function showFleet(
  step: Step,
  operator: QflareOperator,
  { run, title }: { run: string; title: string },
): Promise<void> {
  await step(
    title,
    [run],
    (name) => readStatuses(operator, name),
    ([statuses = []]) => [`The fleet: ${countText(statuses)}.`, ...drawFleet(statuses)].join('\n'),
  )
}

async function readStatuses(operator: QflareOperator, run: string): Promise<string[]> {
  const devices: { name: string; status: string }[] = []
  for await (const device of operator.devices({ namePrefix: `${run}-`, kind: 'device' })) devices.push(device)
  return devices.toSorted((a, b) => a.name.localeCompare(b.name)).map(({ status }) => status)
}

function countText(statuses: readonly string[]): string {
  const counts = Object.entries(Object.groupBy(statuses, (status) => status))
  return counts.map(([status, found = []]) => `${found.length} ${status}`).join(', ')
}

function drawFleet(statuses: readonly string[]): string[] {
  const perLine = Math.max(1, Math.min(PER_LINE, (screenWidth() ?? Number.POSITIVE_INFINITY) - MARGIN))
  const lines: string[] = []
  for (let first = 0; first < statuses.length; first += perLine) {
    lines.push(
      statuses
        .slice(first, first + perLine)
        .map(drawDevice)
        .join(''),
    )
  }
  return lines
}

function drawDevice(status: string): string {
  const { glyph, color } = glyphs[status] ?? { glyph: '?', color: 'gray' }
  return styleText(color, glyph, { stream: process.stdout })
}
