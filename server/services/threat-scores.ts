import type { Database } from '../../database/open.ts'
import { listThreatScores, type ThreatScore } from '../../database/repositories/threat-scores.ts'
import { threatScoreAt } from '../../protocol/monitor/threat-score.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Operator } from '../caller.ts'

export type ThreatScores = ReturnType<typeof createThreatScores>

export function createThreatScores({ database, clock }: { database: Database; clock: Clock }) {
  return {
    /** The highest first, each as it is now. */
    async list(operator: Operator, limit: number): Promise<ThreatScore[]> {
      const now = clock.now()
      const found = await database.withOrganization(operator.organizationId, (tx) =>
        listThreatScores(tx, { limit, now }),
      )
      return found.map((row) => ({ ...row, score: threatScoreAt(row, now) }))
    },
  }
}
