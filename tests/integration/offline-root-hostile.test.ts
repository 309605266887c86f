import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { toBase64url } from '../../protocol/encoding.ts'
import { keyId } from '../../protocol/key-id.ts'
import type { TrustKey, UnsignedTrustBundle, WireTrustBundle } from '../../protocol/trust.ts'
import { signTrustBundle } from '../../runtime/custody/sign-trust-bundle.ts'
import { createLocalSigner } from '../../runtime/custody/signer.ts'
import { call } from '../support/api.ts'
import {
  type Awaited,
  getDraft,
  type OfflineRootService,
  sign,
  startOfflineRootService,
  submit,
} from '../support/offline-root.ts'
import { databaseContents, expectRefusal } from '../support/refusals.ts'
import { countBundles, DAY_MS, pass, rotate, storedKeys } from '../support/rotation.ts'
import { crypto, type TestService } from '../support/service.ts'

/** What somebody could bring in the place of the signed bundle, or put into the database in the place of the draft. */

async function startWaiting(): Promise<OfflineRootService> {
  const service = await startOfflineRootService()
  await service.takeOffline()
  await pass(service, 90 * DAY_MS)
  expect(await rotate(service)).toEqual(['publish'])
  return service
}

const draftOf = async (service: TestService) => (await getDraft(service)) as Awaited

function foreignKey(like: TrustKey): TrustKey {
  const { publicKey } = crypto.importSigningKey(like.alg, crypto.randomBytes(32))
  return { ...like, kid: keyId(crypto, like.alg, publicKey), publicKey: toBase64url(publicKey) }
}

describe('what is submitted', () => {
  let service: OfflineRootService
  let next: UnsignedTrustBundle
  beforeAll(async () => {
    service = await startWaiting()
    next = (await draftOf(service)).next
  })
  afterAll(() => service.close())

  const added = () => next.keys.at(-1) as TrustKey
  const changed: Record<string, () => UnsignedTrustBundle> = {
    'skips a sequence': () => ({ ...next, sequence: next.sequence + 1 }),
    'is of another trust domain': () => ({ ...next, trustDomain: 'other.example' }),
    'has a key less': () => ({ ...next, keys: next.keys.slice(0, -1) }),
    'is without the key of the log': () => ({ ...next, keys: next.keys.filter(({ use }) => use !== 'audit') }),
    'has a key more': () => ({ ...next, keys: [...next.keys, foreignKey(added())] }),
    'has another key in the place of a new one': () => ({
      ...next,
      keys: [...next.keys.slice(0, -1), foreignKey(added())],
    }),
    'has another root of trust': () => ({
      ...next,
      keys: [...next.keys, foreignKey(next.keys.find(({ use }) => use === 'root') as TrustKey)],
    }),
    'lets a key live longer': () => ({
      ...next,
      keys: next.keys.map((key) => ({ ...key, notAfter: key.notAfter + 1 })),
    }),
  }

  test.each(Object.entries(changed))('is refused when it %s, though the root of trust signed it', async (_, change) => {
    const bundle = await sign(service, change())
    const before = await databaseContents(service)
    expectRefusal(await submit(service, bundle), 409, 'draft_mismatch')
    expect(await databaseContents(service)).toEqual(before)
  })

  test('is refused under another root of trust, no key, and a signature of something else', async () => {
    const other = createLocalSigner(crypto, 'ML-DSA-44', crypto.randomBytes(32))
    const signed = await sign(service, next)
    const [good] = signed.signatures
    const foreign = await signTrustBundle(other, next)
    const before = await databaseContents(service)
    for (const bundle of [
      foreign,
      { ...signed, signatures: foreign.signatures.map(({ signature }) => ({ kid: good?.kid ?? '', signature })) },
      { ...signed, signatures: (await sign(service, { ...next, sequence: next.sequence + 1 })).signatures },
    ] satisfies WireTrustBundle[]) {
      expectRefusal(await submit(service, bundle), 409, 'draft_mismatch')
    }
    expectRefusal(await submit(service, { ...signed, signatures: [] }), 400, 'malformed', 'signatures')
    expect(await databaseContents(service)).toEqual(before)
  })

  test('waits for a rotation that is under way, and is held against the draft that this leaves', async () => {
    const { sql } = service.database
    const put = (draft: UnsignedTrustBundle) =>
      sql.query('update trust_bundle_draft set body = $1', [JSON.stringify(draft)])
    const bundle = await sign(service, next)
    await sql.query(`begin; select pg_advisory_xact_lock(hashtext('qflare key rotation'))`)
    const submitted = submit(service, bundle)
    const waiting = `select from pg_locks where not granted and locktype = 'advisory'`
    await expect.poll(async () => (await sql.query(waiting)).rowCount, { timeout: 5_000 }).toBe(1)
    await put({ ...next, keys: next.keys.slice(0, -1) })
    await sql.query('commit')
    expectRefusal(await submitted, 409, 'draft_mismatch')
    await put(next)
  })

  test('is stored once of many at once, and again it is the same answer; another of its sequence is refused', async () => {
    const signed = await Promise.all([0, 1, 2, 3].map(() => sign(service, next)))
    const answers = await Promise.all(signed.map((bundle) => submit(service, bundle)))
    expect(answers.map(({ status, body }) => [status, body])).toEqual(
      signed.map(() => [200, { trustSequence: next.sequence }]),
    )
    expect(await countBundles(service)).toBe(2)
    const events = `select from audit_outbox where entry like '%trust.bundle_signed%'`
    expect((await service.database.sql.query(events)).rowCount).toBe(1)
    const before = await databaseContents(service)
    expect(await submit(service, signed[0] as WireTrustBundle)).toMatchObject({ status: 200 })
    expectRefusal(
      await submit(service, await sign(service, { ...next, keys: next.keys.slice(0, -1) })),
      409,
      'draft_mismatch',
    )
    const unsigned = {
      ...(signed[0] as WireTrustBundle),
      signatures: (await sign(service, { ...next, sequence: 9 })).signatures,
    }
    expectRefusal(await submit(service, unsigned), 409, 'draft_mismatch')
    expectRefusal(await submit(service, await sign(service, { ...next, sequence: 3 })), 409, 'draft_mismatch')
    expect(await databaseContents(service)).toEqual(before)
  })
})

test('a bundle whose draft was replaced while somebody signed it is refused, and the new one is taken', async () => {
  const service = await startWaiting()
  onTestFinished(() => service.close())
  const first = await sign(service, (await draftOf(service)).next)
  await pass(service, 364 * DAY_MS)
  expect(await rotate(service)).toEqual(['publish'])
  const second = await draftOf(service)
  expect([second.next.sequence, second.next.keys.length]).toEqual([2, first.keys.length + 1])
  expect(second.awaitedSince, 'one waits since then').toBe(service.time.now - 364 * DAY_MS)
  expectRefusal(await submit(service, first), 409, 'draft_mismatch')
  expect(await submit(service, await sign(service, second.next))).toMatchObject({ status: 200 })
})

describe('a draft that somebody wrote into the database', () => {
  let service: OfflineRootService
  let body: UnsignedTrustBundle
  beforeAll(async () => {
    service = await startWaiting()
    body = (await draftOf(service)).next
  })
  afterAll(() => service.close())

  const put = (draft: UnsignedTrustBundle) =>
    service.database.sql.query('update trust_bundle_draft set body = $1', [JSON.stringify(draft)])

  test.each<[string, (keys: TrustKey[]) => TrustKey[]]>([
    ['a key that the service did not make', (keys) => [...keys, foreignKey(keys.at(-1) as TrustKey)]],
    [
      'a key that signs for another use',
      (keys) => keys.map((key) => (key.use === 'bucket' ? { ...key, use: 'audit' } : key)),
    ],
    ['a new key for another use', (keys) => [...keys.slice(0, -1), { ...(keys.at(-1) as TrustKey), use: 'audit' }]],
    ['no key that signs', (keys) => keys.filter(({ use }) => use !== 'audit')],
    ['an end for a key that signs', (keys) => keys.map((key) => (key.use === 'audit' ? { ...key, notAfter: 1 } : key))],
    ['another root of trust', (keys) => keys.map((key) => (key.use === 'root' ? foreignKey(key) : key))],
    ['a key twice', (keys) => [...keys, keys.at(-1) as TrustKey]],
  ])('with %s is given to nobody, is not taken when it is signed, and is not gone on with', async (_, change) => {
    const draft = { ...body, keys: change(body.keys) }
    await put(draft)
    expectRefusal(await call(service, 'GET', '/v1/trust/draft', { token: service.adminToken }), 500, 'internal')
    expect((await submit(service, await sign(service, draft))).status).toBe(500)
    await service.database.sql.query(`update signing_key set activated_at = to_timestamp(0) where key_use = 'audit'`)
    await expect(rotate(service)).rejects.toThrow()
    expect(await countBundles(service)).toBe(1)
  })

  test('with the row and the seed of a key that signs elsewhere is not taken either', async () => {
    const [audit] = await storedKeys(service, 'audit')
    await service.database.sql.query(
      `insert into signing_key
      select 'rogue', 'attestation', alg, public_key, sealed_seed, 'PUBLISHED', not_before, not_after, to_timestamp(0), null, null
        from signing_key where kid = $1 on conflict do nothing`,
      [audit?.kid],
    )
    await put({ ...body, keys: [...body.keys, { ...foreignKey(body.keys.at(-1) as TrustKey), kid: 'rogue' }] })
    expectRefusal(await call(service, 'GET', '/v1/trust/draft', { token: service.adminToken }), 500, 'internal')
  })
})

test('the API can store nothing but the draft, by its rights in the database', async () => {
  const service = await startWaiting()
  onTestFinished(() => service.close())
  const { sql } = service.database
  await sql.query('set role qflare_api')
  for (const statement of [
    `insert into trust_bundle (sequence, body, created_at) values (2, '{}', now())`,
    `update trust_bundle_draft set body = '{}'`,
    'delete from trust_bundle_draft',
    `update signing_key set sealed_seed = null where key_use = 'root'`,
  ]) {
    await expect(sql.query(statement), statement).rejects.toThrow(/permission denied/)
  }
  const { rows } = await sql.query(`select store_signed_draft(7, '[]', now()) as stored`)
  expect(rows).toEqual([{ stored: false }])
  await sql.query('reset role')
})
