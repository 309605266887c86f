import { setTimeout as sleep } from 'node:timers/promises'
import type { QflareAuditor } from '../client/auditor.ts'
import { canonicalJson } from '../protocol/encoding.ts'
import { createExportVerifier, type ExportReport } from '../protocol/log/audit-export.ts'
import { verifyTlogProof } from '../protocol/log/tlog-proof.ts'
import type { VerifierKey } from '../protocol/log/verifier-key.ts'
import type { Primitives } from '../protocol/primitives.ts'
import type { Member } from './fleet.ts'

export interface Auditing {
  auditor: QflareAuditor
  crypto: Primitives
  keys: readonly VerifierKey[]
}

/** An event is in the log a quarter of a second after its change; a busy machine takes longer. */
const LOGGED_WITHIN_MS = 15_000
const AGAIN_MS = 250

/** Finds an event of a device in the log and verifies, as anybody could offline, that it is there. Its index. */
export async function proveEvent(
  { auditor, crypto, keys }: Auditing,
  type: 'device.enrolled' | 'device.quarantined',
  { name, deviceId }: Member,
): Promise<number> {
  const deadline = performance.now() + LOGGED_WITHIN_MS
  for (;;) {
    const [found] = (await auditor.listEvents({ type, device: deviceId, limit: 1 })).items
    if (found !== undefined) {
      const entry = new TextEncoder().encode(canonicalJson(found.event))
      return verifyTlogProof(crypto, await auditor.getEventProof(found.event.id), entry, { log: keys }).index
    }
    if (performance.now() > deadline) throw new Error(`${type} of ${name} is not in the log.`)
    await sleep(AGAIN_MS)
  }
}

/** Reads the whole log, as one would read it from a file years later, and verifies every line of it. */
export async function verifyWholeLog({ auditor, crypto, keys }: Auditing): Promise<ExportReport> {
  const verifier = createExportVerifier(crypto, { log: keys })
  for await (const line of auditor.exportLines()) verifier.push(line)
  const report = verifier.finish()
  if (report.problem !== undefined) throw new Error(report.problem.reason)
  return report
}
