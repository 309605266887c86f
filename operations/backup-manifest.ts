import { join } from 'node:path'
import { z } from 'zod'
import { canonicalJson, encode, fromBase64url, toBase64url } from '../protocol/encoding.ts'
import type { Primitives } from '../protocol/primitives.ts'
import { signatureAlgorithm } from '../protocol/wire.ts'
import type { Keyring } from '../runtime/custody/keyring.ts'
import { openServiceKeys } from '../runtime/custody/service-keys.ts'
import { createRootKeyWrapper } from '../runtime/custody/wrapper.ts'
import { readSmallFile } from '../runtime/read-small-file.ts'
import type { StoredKeys } from './open-custody.ts'
import { OperationError } from './operation-error.ts'

export const MANIFEST_FILE = 'manifest.json'
export const ARCHIVE_FILE = 'base.tar'
export const PASSWORD_FILE = 'postgres-password'
export const ROOT_KEY_FILE = 'root-key'

/** With a hundred keys it has not a tenth of that. */
const MAX_MANIFEST_BYTES = 1 << 20

const base64url = z.string().regex(/^[A-Za-z0-9_-]*$/)
const timestamp = z.int().min(0)

const unsignedManifest = z.strictObject({
  format: z.literal('qflare-backup/1'),
  qflareVersion: z.string(),
  postgresVersion: z.string().regex(/^\d+(\.\d+)*$/),
  migrations: z.array(z.string()),
  trustDomain: z.string(),
  /** `kid` of the root of trust: names the set that database and root key are. */
  rootKid: z.string(),
  trustSequence: z.int().min(1),
  /** Milliseconds. The backup holds what was committed until some moment between the two. */
  startedAt: timestamp,
  finishedAt: timestamp,
  /** The newest signed checkpoint of the audit log when the backup began: the log in it is not older. None in those of 0.1. */
  checkpoint: z.string().exactOptional(),
  files: z.array(
    z.strictObject({
      name: z.enum([ARCHIVE_FILE, PASSWORD_FILE, ROOT_KEY_FILE]),
      sizeBytes: z.int().min(0),
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  ),
  /** The service's keys as the database has them, sealed: a root key that opens them is the right one. */
  keks: z.array(z.strictObject({ purpose: z.int(), version: z.int(), sealed: base64url, active: z.boolean() })),
  signingKeys: z.array(
    z.strictObject({
      kid: z.string(),
      use: z.enum(['root', 'bucket', 'audit', 'attestation']),
      alg: signatureAlgorithm,
      sealedSeed: base64url,
    }),
  ),
})
export type UnsignedManifest = z.output<typeof unsignedManifest>

const backupManifest = unsignedManifest.extend({ mac: z.strictObject({ version: z.int(), value: base64url }) })
export type BackupManifest = z.output<typeof backupManifest>

/** Bound to the root key: nobody without it can change a backup unseen. */
export function sealManifest(keyring: Keyring, manifest: UnsignedManifest): BackupManifest {
  const { mac, version } = keyring.mac('identityMac', manifestBytes(manifest))
  return { ...manifest, mac: { version, value: toBase64url(mac) } }
}

/** What is read is not believed yet: see `verifyManifest`. Throws `backup_incomplete`. */
export async function readManifest(folder: string): Promise<BackupManifest> {
  const text = await readSmallFile(join(folder, MANIFEST_FILE), { maxBytes: MAX_MANIFEST_BYTES }).then(
    ({ content }) => content.toString('utf8'),
    (error: NodeJS.ErrnoException) => {
      throw new OperationError(
        'backup_incomplete',
        `${folder} is no whole backup: ${MANIFEST_FILE}, which is written last, cannot be read (${error.code ?? error.message}).`,
      )
    },
  )
  try {
    return backupManifest.parse(JSON.parse(text))
  } catch {
    throw new OperationError('backup_incomplete', `${join(folder, MANIFEST_FILE)} is no manifest of this format.`)
  }
}

/** Throws `root_key_wrong` when the root key is not the one of this backup, `backup_changed` when somebody wrote to its manifest. */
export async function verifyManifest(crypto: Primitives, rootKey: Uint8Array, manifest: BackupManifest): Promise<void> {
  const { mac, ...unsigned } = manifest
  const keyring = await openKeys(crypto, rootKey, manifest)
  if (!(await keyring.isMac('identityMac', mac.version, manifestBytes(unsigned), fromBase64url(mac.value)))) {
    throw new OperationError(
      'backup_changed',
      `${MANIFEST_FILE} was changed after the backup was made. Take another backup.`,
    )
  }
}

async function openKeys(crypto: Primitives, rootKey: Uint8Array, manifest: BackupManifest): Promise<Keyring> {
  const { keks, signingKeys, rootKid } = manifest
  try {
    const keys = await openServiceKeys(crypto, createRootKeyWrapper(crypto, rootKey), {
      keks: keks.map((kek) => ({ ...kek, sealed: fromBase64url(kek.sealed) })),
      signingKeys: signingKeys.map((key) => ({ ...key, sealedSeed: fromBase64url(key.sealedSeed) })),
    })
    if (keys.rootKid === rootKid) return keys.keyring
  } catch (error) {
    // Which of the ways it is wrong in helps nobody; a defect is no SealError.
    if (!(error instanceof Error && error.name === 'SealError')) throw error
  }
  throw new OperationError(
    'root_key_wrong',
    `The root key is not the one of this backup, whose root of trust is ${rootKid}: the database alone opens nothing. Give the root key that was kept with it.`,
  )
}

/** As the manifest keeps them. */
export function toManifestKeys({ keks, signingKeys }: StoredKeys): Pick<UnsignedManifest, 'keks' | 'signingKeys'> {
  return {
    keks: keks.map((kek) => ({ ...kek, sealed: toBase64url(kek.sealed) })),
    signingKeys: signingKeys.map(({ kid, use, alg, sealedSeed }) => ({
      kid,
      use,
      alg,
      sealedSeed: toBase64url(sealedSeed),
    })),
  }
}

/** The label keeps it apart from what else this key authenticates. */
function manifestBytes(manifest: UnsignedManifest): Uint8Array {
  return encode('QFLARE-v1 backup manifest', canonicalJson(manifest))
}
