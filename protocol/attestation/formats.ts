import type { EvidenceFormat, EvidenceFormatName } from './evidence-format.ts'
import { none } from './formats/none.ts'

/** Every format of evidence that is built in. */
export const evidenceFormats: Partial<Record<EvidenceFormatName, EvidenceFormat>> = { none }
