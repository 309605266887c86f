import type { EvidenceFormat, EvidenceFormatName } from './evidence-format.ts'
import { androidKey } from './formats/android-key.ts'
import { none } from './formats/none.ts'
import { psa } from './formats/psa.ts'
import { tdx } from './formats/tdx.ts'
import { tpm2 } from './formats/tpm2.ts'

/** Every format of evidence that is built in. */
export const evidenceFormats: Record<EvidenceFormatName, EvidenceFormat> = {
  none,
  'android-key': androidKey,
  psa,
  tdx,
  tpm2,
}
