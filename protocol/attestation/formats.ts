import type { EvidenceFormat, EvidenceFormatName } from './evidence-format.ts'
import { androidKey } from './formats/android-key.ts'
import { appleAppAttest } from './formats/apple-app-attest.ts'
import { none } from './formats/none.ts'
import { psa } from './formats/psa.ts'
import { sevSnp } from './formats/sev-snp.ts'
import { tdx } from './formats/tdx.ts'
import { tpm2 } from './formats/tpm2.ts'

/** Every format of evidence that is built in. */
export const evidenceFormats: Record<EvidenceFormatName, EvidenceFormat> = {
  none,
  'android-key': androidKey,
  'apple-app-attest': appleAppAttest,
  psa,
  'sev-snp': sevSnp,
  tdx,
  tpm2,
}
