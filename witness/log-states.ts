import { createHash } from 'node:crypto'
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ProtocolError } from '../protocol/errors.ts'
import { type Checkpoint, parseCheckpointBody } from '../protocol/log/checkpoint.ts'
import { parseNote } from '../protocol/log/signed-note.ts'
import { replaceFile, syncFolder, writeNewFile } from '../runtime/durable-file.ts'
import { FileError, readSmallFile } from '../runtime/read-small-file.ts'
import { WitnessError } from './witness-error.ts'

/** The newest tree that was cosigned of a log. */
export interface LogState extends Checkpoint {
  /** Of the last cosignature, whole seconds since the Unix epoch. */
  cosignedAtSeconds: number
  /** The checkpoint with the signatures of the log. */
  note: string
}

/**
 * What the witness has cosigned, one file for each log, in a folder of which this process has the lock. Durability: `store`
 * resolves when the state outlives a loss of power. Concurrency: one `store` at a time for each log. Loss or rollback of a file
 * while the key is kept costs the promise: the witness would cosign a second tree.
 */
export interface LogStates {
  /** Undefined: it never cosigned a checkpoint of this log. Throws `file_unusable` for what it did not write. */
  load(origin: string): Promise<LogState | undefined>
  store(state: LogState): Promise<void>
  /** Keeps two checkpoints of one size that a log signed, once; false when there is such a proof already. */
  keepConflict(held: LogState, note: string): Promise<boolean>
}

const SUFFIX = '.state'
const HEADER = 'qflare-witness-state/v1'
/** A note has at most 256 KiB, of which a state keeps the log's own signatures. */
const MAX_STATE_BYTES = 512 << 10

/** Makes the folder where it is missing. */
export async function openLogStates(folder: string): Promise<LogStates> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const pathOf = (origin: string, suffix: string) =>
    join(folder, `${createHash('sha256').update(origin).digest('hex')}${suffix}`)

  return {
    async load(origin) {
      const path = pathOf(origin, SUFFIX)
      const text = await readState(path)
      return text === undefined ? undefined : parseState(path, origin, text)
    },
    store: (state) => replaceFile(pathOf(state.origin, SUFFIX), formatState(state)),
    async keepConflict(held, note) {
      try {
        await writeNewFile(pathOf(held.origin, '.conflict'), `${held.note}\n${note}`)
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
        throw error
      }
      await syncFolder(folder)
      return true
    },
  }
}

/** Whether a folder, which may be missing, has the state of any log. */
export async function hasLogStates(folder: string): Promise<boolean> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  return names.some((name) => name.endsWith(SUFFIX))
}

async function readState(path: string): Promise<string | undefined> {
  try {
    const { content } = await readSmallFile(path, { maxBytes: MAX_STATE_BYTES })
    return content.toString('utf8')
  } catch (error) {
    if (error instanceof FileError) throw new WitnessError('file_unusable', error.message, { cause: error })
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

function formatState({ cosignedAtSeconds, note }: LogState): string {
  return `${HEADER}\ntime ${cosignedAtSeconds}\n${note}`
}

function parseState(path: string, origin: string, text: string): LogState {
  const [, seconds, note] = new RegExp(`^${HEADER}\\ntime (\\d{1,15})\\n([^]+)$`).exec(text) ?? []
  try {
    if (note === undefined) throw new ProtocolError('log_invalid', 'It is cut short.')
    const checkpoint = parseCheckpointBody(parseNote(note).body)
    if (checkpoint.origin !== origin) throw new ProtocolError('log_invalid', `It is of ${checkpoint.origin}.`)
    return { ...checkpoint, cosignedAtSeconds: Number(seconds), note }
  } catch (cause) {
    throw new WitnessError(
      'file_unusable',
      `${path} is not what this witness wrote of ${origin}. Without it nobody knows what it cosigned: begin a new witness, with a new key, in another folder.`,
      { cause },
    )
  }
}
