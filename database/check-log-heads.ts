import { ProtocolError } from '../protocol/errors.ts'
import { type VerifiedCheckpoint, verifyCheckpoint } from '../protocol/log/checkpoint.ts'
import type { Difference } from '../protocol/log/log-check.ts'
import type { TreeHead } from '../protocol/log/merkle.ts'
import type { VerifierKey } from '../protocol/log/verifier-key.ts'
import type { Primitives } from '../protocol/primitives.ts'
import type { Database } from './open.ts'
import {
  getPublishedState,
  type KeptCheckpoint,
  listCheckpoints,
  type PublishedState,
} from './repositories/audit-check.ts'

/** Notes have several KB each. */
const CHECKPOINTS_AT_ONCE = 200

/** Where the log stands, and what was signed of it. */
export interface LogHeads {
  state: PublishedState
  checkpoints: number
  /** Of the trees that were signed, as far as the log goes. */
  heads: TreeHead[]
  differences: Difference[]
}

/** Reads everything that was signed, and only then how far the log goes: beside a service that appends, nothing is ahead of it. */
export async function checkLogHeads(parts: {
  database: Database
  crypto: Primitives
  keys: readonly VerifierKey[]
  readCheckpointFile: (() => Promise<string | undefined>) | undefined
}): Promise<LogHeads> {
  const { database, crypto, keys } = parts
  const heads: TreeHead[] = []
  const differences: Difference[] = []
  const tell = (...what: string[]) => differences.push(...what.map((what) => ({ index: undefined, what })))
  const before = await database.withoutOrganization(getPublishedState)
  const file = await parts.readCheckpointFile?.()
  if (file !== undefined) {
    const signed = verifyNote(crypto, keys, file)
    if ('refused' in signed) tell(signed.refused)
    else heads.push(toHead(signed))
  } else if (parts.readCheckpointFile !== undefined && before.size > 0) tell('the checkpoint file is missing')
  let checkpoints = 0
  for (let afterId: number | undefined = 0; afterId !== undefined; ) {
    const after: number = afterId
    const page = await database.withoutOrganization((tx) => listCheckpoints(tx, after, CHECKPOINTS_AT_ONCE))
    checkpoints += page.length
    for (const kept of page) {
      const signed = verifyNote(crypto, keys, kept.note)
      if ('refused' in signed) tell(signed.refused)
      else {
        heads.push(toHead(signed))
        tell(...compareColumns(crypto, kept, signed))
      }
    }
    afterId = page.at(-1)?.id
  }
  if (checkpoints === 0 && before.size > 0) tell('there is no checkpoint of a log that is not empty')
  const state = await database.withoutOrganization(getPublishedState)
  tell(...checkPublished(state))
  for (const { size } of heads.filter((head) => head.size > state.size)) {
    tell(`the checkpoint of ${size} entries is of a larger log: this one has ${state.size}`)
  }
  return { state, checkpoints, heads: heads.filter((head) => head.size <= state.size), differences }
}

/** Without the signatures, which have several KB. */
function toHead({ size, root }: TreeHead): TreeHead {
  return { size, root }
}

function verifyNote(
  crypto: Primitives,
  keys: readonly VerifierKey[],
  note: string,
): VerifiedCheckpoint | { refused: string } {
  try {
    return verifyCheckpoint(crypto, note, { log: keys })
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    return { refused: `a checkpoint is not one of this log: ${error.message}` }
  }
}

function compareColumns(crypto: Primitives, kept: KeptCheckpoint, signed: VerifiedCheckpoint): string[] {
  const isSame = {
    size: kept.size === signed.size,
    root: crypto.equal(kept.root, signed.root),
    time: Math.floor(kept.signedAt / 1000) === Math.floor(signed.signedAt / 1000),
  }
  return Object.entries(isSame)
    .filter(([, same]) => !same)
    .map(([name]) => `checkpoint ${kept.id} is filed under another ${name} than was signed`)
}

function checkPublished({ size, publishedSize, publishedId, checkpointSize }: PublishedState): string[] {
  const expected = publishedId === undefined ? 0 : checkpointSize
  return [
    ...(expected === undefined ? [`checkpoint ${publishedId}, which is published, is missing`] : []),
    ...(expected !== undefined && expected !== publishedSize
      ? [`${publishedSize} entries are said to be published, but the published checkpoint has ${expected}`]
      : []),
    ...(publishedSize > size ? [`${publishedSize} entries are said to be published, of ${size}`] : []),
  ]
}
