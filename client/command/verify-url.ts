import { ProtocolError } from '../../protocol/errors.ts'
import { type VerifiedCheckpoint, verifyCheckpoint } from '../../protocol/log/checkpoint.ts'
import type { TilePlace } from '../../protocol/log/tiles.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { QflareAuditor } from '../auditor.ts'
import { QflareError } from '../errors.ts'
import { verifyTiles } from '../verify-tiles.ts'
import { withProgress } from './progress.ts'
import { progressText } from './progress-text.ts'
import { requireRange, verifyLines } from './verify-export.ts'
import type { VerifyReport } from './verify-report.ts'
import type { VerifyPolicy } from './verify-witnesses.ts'

type Found = Pick<VerifyReport, 'problem' | 'entries' | 'checkpoint'>

/** The whole log as an auditor of an organization may see it. Nothing is kept. */
export async function verifyExportOf(crypto: Primitives, auditor: QflareAuditor, policy: VerifyPolicy): Promise<Found> {
  const report = await withProgress((say) => verifyLines(crypto, policy, auditor.exportLines(), say))
  const { from, to, events, hashesOnly, problem, checkpoint } = requireRange(report, {})
  return { problem, checkpoint, entries: { from, to, events, hashesOnly } }
}

/** The whole log as anyone may see it: every hash of the tree, and no event. */
export async function verifyHashesOf(crypto: Primitives, auditor: QflareAuditor, policy: VerifyPolicy): Promise<Found> {
  const checkpoint = verifyCheckpoint(crypto, await auditor.getCheckpoint(), policy)
  const problem = await withProgress((say) => verifyHashes(crypto, auditor, checkpoint, say))
  return { problem, checkpoint, entries: { from: 0, to: checkpoint.size, events: 0, hashesOnly: checkpoint.size } }
}

function verifyHashes(
  crypto: Primitives,
  auditor: QflareAuditor,
  checkpoint: VerifiedCheckpoint,
  say: (text: string) => void,
) {
  const startedAt = performance.now()
  return verifyTiles(crypto, checkpoint, fetchTile, (done) =>
    say(progressText({ done, total: checkpoint.size }, 'hashes', performance.now() - startedAt)),
  )

  async function fetchTile(place: TilePlace, width: number): Promise<Uint8Array[]> {
    try {
      return await auditor.getTile(place, width)
    } catch (cause) {
      const isRefused = cause instanceof QflareError && (cause.code === 'not_found' || cause.code === 'bad_answer')
      if (!isRefused) throw cause
      const what = `tile ${place.level}/${place.tile}, which its own checkpoint covers`
      throw new ProtocolError('log_invalid', `The server does not give ${what}.`, { cause })
    }
  }
}
