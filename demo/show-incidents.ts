import type { Cast } from './cast.ts'
import { type Outcome, type Provoked, resolveProvoked } from './incidents.ts'
import type { Step } from './step.ts'

/** A refusal is told when its minute is over, and read within ten seconds; a busy machine takes longer. */
const TOLD_WITHIN_MS = 120_000

/** What the demo did is what the security monitor is there for. Whoever is on call must not be woken by it. */
export async function showIncidents(
  step: Step,
  { incidents }: Cast,
  {
    provoked,
    deviceIds,
    signal,
  }: { provoked: readonly Provoked[]; deviceIds: ReadonlySet<string>; signal: AbortSignal },
): Promise<void> {
  await step(
    'resolve incidents',
    provoked,
    async (one) => {
      const outcome = await resolveProvoked(incidents, one, { deviceIds, withinMs: TOLD_WITHIN_MS, signal })
      return { rule: one.rule, outcome }
    },
    (done) => {
      const said = Map.groupBy(done, ({ outcome }) => outcome)
      const line = (outcome: Outcome, text: string) => {
        const rules = said.get(outcome)?.map(({ rule }) => rule)
        return rules === undefined ? [] : [`${text}: ${rules.join(', ')}.`]
      }
      return [
        ...line('resolved', 'Its incidents, which an operator acknowledges and resolves'),
        ...line('open', 'Incidents that other devices are in too, so that they stay open'),
        ...line('untold', 'By its settings it tells nobody of it here'),
      ].join('\n')
    },
  )
}
