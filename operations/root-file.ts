import { dirname } from 'node:path'
import type { Flags } from '../client/command/flags.ts'
import { fromBase64url, toBase64url } from '../protocol/encoding.ts'
import type { Primitives } from '../protocol/primitives.ts'
import { parseTrustFile, type RootOfTrustFile, rootOfTrustFile } from '../protocol/trust-draft.ts'
import { createLocalSigner, type Signer } from '../runtime/custody/signer.ts'
import { syncFolder, writeNewFile } from '../runtime/durable-file.ts'
import { readSmallFile } from '../runtime/read-small-file.ts'
import { MAX_SECRET_BYTES } from '../runtime/secrets.ts'
import { OperationError } from './operation-error.ts'

export interface RootInFile {
  trustDomain: string
  /** The caller wipes it. */
  seed: Uint8Array
  signer: Signer
}

/** To a new file of mode 0600, durably, and read back. Throws `place_taken`. */
export async function writeRootFile(
  crypto: Primitives,
  path: string,
  key: { trustDomain: string; kid: string; alg: RootOfTrustFile['alg']; seed: Uint8Array },
): Promise<void> {
  const { trustDomain, kid, alg } = key
  const content: RootOfTrustFile = {
    format: 'qflare-root-of-trust/1',
    trustDomain,
    kid,
    alg,
    seed: toBase64url(key.seed),
  }
  await writeNewFile(path, `${JSON.stringify(content, null, 2)}\n`).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
    throw new OperationError('place_taken', `${path} exists already: the root of trust goes to a new file.`)
  })
  await syncFolder(dirname(path))
  const { signer, seed } = await readRootFile(crypto, path)
  const isWhole = signer.keyId === kid && crypto.equal(seed, key.seed)
  seed.fill(0)
  if (!isWhole) throw new OperationError('file_unusable', `${path} does not hold what was written to it.`)
}

/** Throws `root_file_wrong` for what is no file of a root of trust, or names another one than it holds; and what the file refuses. */
export async function readRootFile(crypto: Primitives, path: string): Promise<RootInFile> {
  // Whatever its mode: on a stick, a file has none of its own.
  const { content } = await readSmallFile(path, { maxBytes: MAX_SECRET_BYTES, followsLinks: true })
  const wrong = () =>
    new OperationError(
      'root_file_wrong',
      `${path} is no file of a root of trust, as qflare root take-offline writes it.`,
    )
  let file: RootOfTrustFile
  try {
    file = parseTrustFile(rootOfTrustFile, content.toString('utf8'))
  } catch {
    throw wrong()
  }
  const seed = fromBase64url(file.seed)
  const signer = createLocalSigner(crypto, file.alg, seed)
  if (signer.keyId !== file.kid) throw wrong()
  return { trustDomain: file.trustDomain, seed, signer }
}

/** Of another root of trust than this service's. */
export function wrongRootFile(kid: string, rootKid: string): OperationError {
  return new OperationError(
    'root_file_wrong',
    `The file holds the root of trust ${kid}; the root of trust of this service is ${rootKid}.`,
  )
}

/** For operations that sign with a root of trust that may be offline. */
export const rootFileFlag = {
  'root-file': {
    type: 'string',
    value: 'FILE',
    help: 'the root of trust, where it is offline, as qflare root take-offline wrote it',
  },
} as const satisfies Flags

/** Undefined where none is named. */
export async function openRootFile(crypto: Primitives, path: string | undefined): Promise<Signer | undefined> {
  if (path === undefined) return undefined
  const { seed, signer } = await readRootFile(crypto, path)
  seed.fill(0)
  return signer
}
