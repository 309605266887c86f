import type { Database, Tx } from '../database/open.ts'
import { insertApiToken } from '../database/repositories/api-tokens.ts'
import { insertEvents } from '../database/repositories/audit-outbox.ts'
import { insertDirectoryEntry, isDirectoryEmpty } from '../database/repositories/directory.ts'
import { insertOrganization } from '../database/repositories/organizations.ts'
import {
  insertKek,
  insertSigningKey,
  insertTrustBundle,
  type KekRow,
  listTrustBundles,
  lockInitialization,
} from '../database/repositories/service-keys.ts'
import { toBase64url } from '../protocol/encoding.ts'
import { NIL_UUID } from '../protocol/log/audit-event.ts'
import type { Primitives } from '../protocol/primitives.ts'
import { type SignatureAlgorithm, signatureContexts } from '../protocol/suites.ts'
import { type TrustKey, trustBundleBytes } from '../protocol/trust.ts'
import type { WriteEvent } from '../runtime/audit-events.ts'
import { type Keyring, keyringPurposes, openKeyring, wrapNewKek } from '../runtime/custody/keyring.ts'
import { sealPurposes } from '../runtime/custody/sealed-record.ts'
import { signingKeyPlace } from '../runtime/custody/service-keys.ts'
import { createLocalSigner, type Signer } from '../runtime/custody/signer.ts'
import type { Wrapper } from '../runtime/custody/wrapper.ts'
import { newId } from '../runtime/ids.ts'
import { type ProfileName, profiles } from '../runtime/profile.ts'

const YEAR_MS = 365 * 86_400_000
/** The root outlives the keys that it vouches for. */
const validityMs = { root: 10 * YEAR_MS, bucket: 2 * YEAR_MS, audit: 2 * YEAR_MS, attestation: 2 * YEAR_MS } as const

/** Key-encryption keys, signing keys and the first trust bundle, where they are missing. Safe to repeat and in parallel. */
export async function initializeKeys(
  parts: { database: Database; wrapper: Wrapper; crypto: Primitives; writeEvent: WriteEvent },
  { trustDomain, profile }: { trustDomain: string; profile: ProfileName },
  now: number,
): Promise<void> {
  const { crypto, wrapper } = parts
  await parts.database.withOrganization(NIL_UUID, async (tx) => {
    await lockInitialization(tx)
    if ((await listTrustBundles(tx, 0)).length > 0) return
    const keks: KekRow[] = []
    const wrapped = []
    for (const purpose of keyringPurposes) {
      const kek = await wrapNewKek(crypto, wrapper, purpose, 1)
      wrapped.push(kek)
      keks.push({ ...kek, purpose: sealPurposes[purpose] })
    }
    for (const kek of keks) await insertKek(tx, kek, now)
    const keyring = await openKeyring(crypto, wrapper, wrapped)
    const signers: [TrustKey['use'], Signer][] = []
    for (const { use, alg } of signingKeysOf(profile)) {
      signers.push([use, await makeSigningKey(tx, crypto, keyring, { use, alg }, now)])
    }
    await makeFirstTrustBundle(tx, trustDomain, signers, now)
    const event = parts.writeEvent(
      {
        organizationId: NIL_UUID,
        actor: { type: 'service', id: NIL_UUID },
        type: 'service.initialized',
        subject: { trustDomain, trustSequence: 1 },
        data: { keys: signers.map(([use, signer]) => ({ use, kid: signer.keyId })) },
        requestId: newId(),
      },
      now,
    )
    await insertEvents(tx, [event])
  })
}

function signingKeysOf(profile: ProfileName): { use: TrustKey['use']; alg: SignatureAlgorithm }[] {
  const { signing, audit } = profiles[profile]
  const others = (['root', 'bucket', 'attestation'] as const).map((use) => ({ use, alg: signing }))
  return [...others, ...audit.map((alg) => ({ use: 'audit' as const, alg }))]
}

async function makeSigningKey(
  tx: Tx,
  crypto: Primitives,
  keyring: Keyring,
  { use, alg }: { use: TrustKey['use']; alg: SignatureAlgorithm },
  now: number,
): Promise<Signer> {
  const seed = crypto.randomBytes(32)
  const signer = createLocalSigner(crypto, alg, seed)
  const sealedSeed = keyring.seal('signingKey', signingKeyPlace(signer.keyId), seed)
  seed.fill(0)
  await insertSigningKey(tx, {
    kid: signer.keyId,
    use,
    alg,
    publicKey: signer.publicKey,
    sealedSeed,
    notBefore: dayOf(now),
    notAfter: dayOf(now) + validityMs[use],
  })
  return signer
}

async function makeFirstTrustBundle(
  tx: Tx,
  trustDomain: string,
  signers: readonly [TrustKey['use'], Signer][],
  now: number,
): Promise<void> {
  const keys = signers.map(([use, signer]) => ({
    kid: signer.keyId,
    alg: signer.alg,
    publicKey: toBase64url(signer.publicKey),
    use,
    notBefore: dayOf(now),
    notAfter: dayOf(now) + validityMs[use],
  }))
  const root = signers.find(([use]) => use === 'root')?.[1] as Signer
  const unsigned = { trustDomain, sequence: 1, keys }
  const signature = await root.sign(trustBundleBytes(unsigned), signatureContexts.trust)
  await insertTrustBundle(
    tx,
    1,
    { ...unsigned, signatures: [{ kid: root.keyId, signature: toBase64url(signature) }] },
    now,
  )
}

/** Keys are valid from the start of the day, so that the current bucket, which began earlier, lies within. */
function dayOf(now: number): number {
  return now - (now % 86_400_000)
}

/**
 * The organization `default` with an admin token, on a service that has no organization yet; the token's text, once.
 * `keepToken` makes it durable before the transaction commits, so that no token exists that nobody has.
 */
export async function initializeDefaultOrganization(
  parts: {
    database: Database
    crypto: Primitives
    writeEvent: WriteEvent
    keepToken: (token: string) => Promise<void>
  },
  now: number,
): Promise<void> {
  const { crypto, database } = parts
  const organizationId = newId()
  await database.withOrganization(organizationId, async (tx) => {
    await lockInitialization(tx)
    if (!(await isDirectoryEmpty(tx))) return
    const id = newId()
    const secret = `${id}.${toBase64url(crypto.randomBytes(32))}`
    await insertOrganization(tx, { id: organizationId, name: 'default', createdAt: now })
    await insertDirectoryEntry(tx, id, organizationId)
    await insertApiToken(tx, {
      id,
      organizationId,
      name: 'first admin',
      roles: ['admin'],
      isServiceAdmin: true,
      secretHash: crypto.hash256(new TextEncoder().encode(secret)),
      createdAt: now,
      expiresAt: undefined,
      revokedAt: undefined,
    })
    const event = parts.writeEvent(
      {
        organizationId,
        actor: { type: 'service', id: NIL_UUID },
        type: 'organization.created',
        subject: { organizationId, apiTokenId: id },
        data: { organization: 'default', roles: ['admin'] },
        requestId: newId(),
      },
      now,
    )
    await insertEvents(tx, [event])
    await parts.keepToken(`qf_${secret}`)
  })
}
