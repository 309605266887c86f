import type { Database } from '../database/open.ts'
import { insertApiToken } from '../database/repositories/api-tokens.ts'
import { insertEvents } from '../database/repositories/audit-outbox.ts'
import { insertDirectoryEntry, isDirectoryEmpty } from '../database/repositories/directory.ts'
import { insertOrganization } from '../database/repositories/organizations.ts'
import { insertKek, type KekRow, listTrustBundles, lockInitialization } from '../database/repositories/service-keys.ts'
import { toBase64url } from '../protocol/encoding.ts'
import { NIL_UUID } from '../protocol/log/audit-event.ts'
import type { Primitives } from '../protocol/primitives.ts'
import type { WriteEvent } from '../runtime/audit-events.ts'
import { keyringPurposes, openKeyring, wrapNewKek } from '../runtime/custody/keyring.ts'
import { sealPurposes } from '../runtime/custody/sealed-record.ts'
import type { Signer } from '../runtime/custody/signer.ts'
import type { Wrapper } from '../runtime/custody/wrapper.ts'
import { newId } from '../runtime/ids.ts'
import type { ProfileName } from '../runtime/profile.ts'
import { addTrustBundle, makeSigningKey, signingKeyKindsOf } from './signing-keys.ts'

/** Key-encryption keys, signing keys and the first trust bundle, where they are missing. Safe to repeat and in parallel. */
export async function initializeKeys(
  parts: { database: Database; wrapper: Wrapper; crypto: Primitives; writeEvent: WriteEvent },
  { trustDomain, profile }: { trustDomain: string; profile: ProfileName },
  now: number,
): Promise<void> {
  const { crypto, wrapper } = parts
  await parts.database.withOrganization(NIL_UUID, async (tx) => {
    await lockInitialization(tx)
    if ((await listTrustBundles(tx, 0, 1)).length > 0) return
    const keks: KekRow[] = []
    const wrapped = []
    for (const purpose of keyringPurposes) {
      const kek = await wrapNewKek(crypto, wrapper, purpose, 1)
      wrapped.push(kek)
      keks.push({ ...kek, purpose: sealPurposes[purpose] })
    }
    for (const kek of keks) await insertKek(tx, kek, now)
    const keyring = await openKeyring(crypto, wrapper, wrapped)
    const made = []
    for (const kind of signingKeyKindsOf(profile)) {
      made.push(await makeSigningKey(tx, { crypto, keyring }, kind, { isActive: true }, now))
    }
    const keys = made.map(({ trustKey }) => trustKey)
    const root = made[keys.findIndex(({ use }) => use === 'root')]?.signer as Signer
    await addTrustBundle(tx, root, { trustDomain, sequence: 1, keys }, now)
    const event = parts.writeEvent(
      {
        organizationId: NIL_UUID,
        actor: { type: 'service', id: NIL_UUID },
        type: 'service.initialized',
        subject: { trustDomain, trustSequence: 1 },
        data: { keys: keys.map(({ use, kid }) => ({ use, kid })) },
        requestId: newId(),
      },
      now,
    )
    await insertEvents(tx, [event])
  })
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
