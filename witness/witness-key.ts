import { randomBytes } from 'node:crypto'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { fromBase64url, toBase64url } from '../protocol/encoding.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { type VerifierKey, verifierKey } from '../protocol/log/verifier-key.ts'
import type { Primitives } from '../protocol/primitives.ts'
import { createLocalSigner, type Signer } from '../runtime/custody/signer.ts'
import { readSecretFile, writeSecretFileOnce } from '../runtime/secrets.ts'
import { hasLogStates } from './log-states.ts'
import { WitnessError } from './witness-error.ts'

export interface WitnessKey {
  verifier: VerifierKey
  signer: Signer
}

/** ξ of FIPS 204. */
const SEED_BYTES = 32

/**
 * The key of the witness of a folder, ML-DSA-44: `witness-key`, of mode 0600, made where the folder holds nothing yet. Throws
 * `configuration_invalid` for a name that no note can hold, `file_unusable`, and ConfigError where others may read the file.
 */
export async function openWitnessKey(crypto: Primitives, folder: string, name: string): Promise<WitnessKey> {
  const path = join(folder, 'witness-key')
  // Only at the first start: another key in the place of one that was lost would be another witness of the same name.
  if (!(await hasLogStates(folder))) await writeSecretFileOnce(path, `${toBase64url(randomBytes(SEED_BYTES))}\n`)
  else await requireKey(path)
  const seed = parseSeed(path, await readSecretFile(path, false))
  try {
    const signer = createLocalSigner(crypto, 'ML-DSA-44', seed)
    return { signer, verifier: verifierKey(crypto, name, 'cosignature', signer.publicKey) }
  } catch (error) {
    if (error instanceof ProtocolError && error.code === 'log_invalid') {
      throw new WitnessError('configuration_invalid', error.message, { cause: error })
    }
    throw error
  } finally {
    seed.fill(0)
  }
}

async function requireKey(path: string): Promise<void> {
  await access(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
    throw new WitnessError(
      'file_unusable',
      `${path} is missing, but what it signed for is there. Put the key back, or begin a new witness, with a new name, in another folder.`,
    )
  })
}

function parseSeed(path: string, text: string): Uint8Array {
  try {
    return fromBase64url(text.trim(), SEED_BYTES)
  } catch (cause) {
    throw new WitnessError('file_unusable', `${path} is not the key of a witness: ${SEED_BYTES} bytes as base64url.`, {
      cause,
    })
  }
}
