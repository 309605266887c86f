import type { TrustDraft } from '../operator-answers.ts'
import { defineCommand } from './define-command.ts'
import { jobsNotes } from './jobs-list.ts'
import { formatTime, printResult, toList } from './print.ts'
import { openOperatorOf } from './settings.ts'
import { trustDifferenceText } from './trust-difference.ts'

export const rootStatus = defineCommand({
  name: 'root status',
  summary: 'Shows where the root of trust is, which signs trust bundles, and what waits for it.',
  flags: {},
  examples: ['qflare root status'],
  notes: jobsNotes,
  async run({ values }) {
    const status = await (await openOperatorOf(values)).getTrustDraft()
    const { rootKid, isRootOffline, draft } = status
    const awaited = draft === null ? null : { ...draft, previous: draft.previous.sequence }
    await printResult(values.json, { rootKid, isRootOffline, draft: awaited }, textOf(status, Date.now()))
    return undefined
  },
})

function textOf({ rootKid, isRootOffline, draft }: TrustDraft, now: number): string {
  const place = ['root of trust', `${rootKid}, ${isRootOffline ? 'offline' : 'in the service'}`] as const
  if (draft === null) return toList([place, ['waiting', 'nothing']])
  const list = toList([
    place,
    ['waiting', `trust bundle ${draft.next.sequence}`],
    ['since', formatTime(draft.awaitedSince, now)],
    ['sign before', draft.signBefore === null ? 'no date: nothing ends meanwhile' : formatTime(draft.signBefore, now)],
  ])
  return `${list}\n\n${trustDifferenceText(draft.previous, draft.next)}`
}
