import type { Metrics } from '../../runtime/metrics.ts'
import type { Appraisal } from './appraise-evidence.ts'

/** Whatever becomes of it then. */
export function countAppraisal({ attestations }: Pick<Metrics, 'attestations'>, { appraisals }: Appraisal): void {
  for (const [format, { tier }] of Object.entries(appraisals)) attestations.inc({ format, tier })
}
