import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { openDevice, type QflareDevice } from '../../client/device.ts'
import { enrollDevice } from '../../client/enroll-device.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import { bringTrustAhead } from '../../operations/bring-trust-ahead.ts'
import { bringRootOnline } from '../../operations/root-bring-online.ts'
import { takeRootOffline } from '../../operations/root-take-offline.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { Signer } from '../../runtime/custody/signer.ts'
import { createLogger } from '../../runtime/logger.ts'
import { resealValues } from '../../workers/jobs/reseal-values.ts'
import { makeKekVersions } from '../../workers/jobs/rotate-keks.ts'
import { rotateOldSigningKeys, rotateSigningKeys } from '../../workers/jobs/rotate-signing-keys.ts'
import { call, createToken } from '../support/api.ts'
import { getDraft, type OfflineRootService, signDraft, startOfflineRootService } from '../support/offline-root.ts'
import {
  countBundles,
  DAY_MS,
  keyEvents,
  MINUTE_MS,
  pass,
  rotate,
  rotationParts,
  sameAge,
  storedKeys,
} from '../support/rotation.ts'
import { crypto, type TestService } from '../support/service.ts'

/** The root of trust away from the service: keys follow each other all the same, and what it has to sign waits for it. */

async function enrol(service: TestService): Promise<QflareDevice> {
  const store = createMemoryStore()
  const now = () => service.time.now
  const { token } = await createToken(service)
  await enrollDevice({ url: service.url, token, name: 'edge', store, now })
  return openDevice({ store, now })
}

const statusesOf = async (service: TestService, use: string) =>
  (await storedKeys(service, use)).map(({ status }) => status)

const eventsOf = async (service: TestService, like: string) =>
  (
    await service.database.sql.query(
      'select entry::jsonb as event from audit_outbox where entry like $1 order by seq',
      [`%${like}%`],
    )
  ).rows.map(({ event }) => event)

describe('taking the root of trust offline', () => {
  let service: OfflineRootService
  beforeAll(async () => {
    service = await startOfflineRootService()
  })
  afterAll(() => service.close())

  const sealedRoot = async () =>
    (await service.database.sql.query(`select sealed_seed from signing_key where key_use = 'root'`)).rows[0].sealed_seed

  test('changes nothing when its event cannot be stored, and leaves a file that holds the key', async () => {
    const before = await sealedRoot()
    const gone = () => {
      throw new Error('the process is gone')
    }
    const path = join(service.folder, 'interrupted.json')
    const operation = { ...(await service.operation()), writeEvent: gone }
    await expect(takeRootOffline(operation, path, service.time.now)).rejects.toThrow('the process is gone')
    expect(await sealedRoot()).toEqual(before)
    expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ kid: service.serviceKeys.rootKid })
  })

  test('writes over no file, and erases nothing without one', async () => {
    const before = await sealedRoot()
    for (const path of [join(service.folder, 'interrupted.json'), join(service.folder, 'nowhere', 'root.json')]) {
      await expect(takeRootOffline(await service.operation(), path, service.time.now)).rejects.toThrow(
        /exists already|ENOENT/,
      )
    }
    expect(await sealedRoot()).toEqual(before)
  })

  test('leaves the key in the file alone, for its owner, and a marker that names it in the database', async () => {
    const before = await sealedRoot()
    expect(await service.takeOffline()).toBe(service.serviceKeys.rootKid)
    expect((await stat(service.rootFile)).mode & 0o777).toBe(0o600)
    const { signer, trustDomain } = await service.root()
    expect([signer.keyId, trustDomain]).toEqual([service.serviceKeys.rootKid, 'test.example'])
    expect((await sealedRoot()).equals(before)).toBe(false)
    expect(await eventsOf(service, 'root.taken_offline')).toMatchObject([
      { type: 'root.taken_offline', severity: 'warning', subject: { kid: signer.keyId } },
    ])
    expect(await readdir(service.folder)).toHaveLength(2)
  })

  test('happens once', async () => {
    const path = join(service.folder, 'again.json')
    await expect(takeRootOffline(await service.operation(), path, service.time.now)).rejects.toMatchObject({
      code: 'root_offline',
    })
    await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('leaves a service that starts, answers and enrols', async () => {
    await (await service.startNode()).close()
    expect((await service.operation()).custody.serviceKeys.rootKid).toBe(service.serviceKeys.rootKid)
    expect((await (await enrol(service)).exchange()).session).toBeDefined()
    expect((await call(service, 'GET', '/v1/trust/draft', { token: service.adminToken })).body).toEqual({
      rootKid: service.serviceKeys.rootKid,
      isRootOffline: true,
      draft: null,
    })
  })

  test('leaves a marker that is good for no other key, and that follows the key-encryption keys', async () => {
    const { sql } = service.database
    const worker = service.database.open('qflare_worker', 1)
    const operation = await service.operation()
    await makeKekVersions({ ...operation, wrapper: service.wrapper }, service.time.now, service.time.now)
    await service.serviceKeys.refresh()
    const { keyring, rootKid } = service.serviceKeys
    expect(await resealValues({ ...operation, database: worker, keyring }, service.time.now)).toMatchObject({
      seeds: 4,
    })
    expect((await service.operation()).custody.serviceKeys.rootKid).toBe(rootKid)

    await sql.query(`update signing_key set kid = 'other' where key_use = 'root'`)
    await expect(service.operation()).rejects.toMatchObject({ name: 'SealError' })
    await sql.query(`update signing_key set kid = $1 where key_use = 'root'`, [rootKid])
    await sql.query(`update signing_key set alg = 'ML-DSA-87' where key_use = 'root'`)
    await expect(service.operation()).rejects.toMatchObject({ name: 'SealError' })
    await sql.query(`update signing_key set alg = 'ML-DSA-44' where key_use = 'root'`)
    await sql.query(`update signing_key set sealed_seed = decode('00', 'hex') where key_use = 'root'`)
    await expect(service.operation()).rejects.toMatchObject({ name: 'SealError' })
  })
})

describe('a rotation with the root of trust offline', () => {
  let service: OfflineRootService
  let device: QflareDevice
  beforeAll(async () => {
    service = await startOfflineRootService()
    device = await enrol(service)
    await service.takeOffline()
    await pass(service, 90 * DAY_MS)
  })
  afterAll(() => service.close())

  test('makes successors once, of two workers at once, and waits with them: what signs signs on', async () => {
    const before = service.serviceKeys.bucketSigner.keyId
    const parts = [0, 1].map(() => rotationParts(service))
    const taken = await Promise.all(parts.map((worker) => rotateSigningKeys(worker, service.time.now)))
    expect(taken.flat()).toEqual(['publish'])
    expect(await rotate(service), 'twice').toEqual([])
    await pass(service, 60 * MINUTE_MS)
    expect(await rotate(service), 'nobody knows them yet').toEqual([])
    expect([await countBundles(service), await statusesOf(service, 'bucket')]).toEqual([1, ['ACTIVE', 'PUBLISHED']])
    expect(service.serviceKeys.bucketSigner.keyId).toBe(before)
    expect((await device.exchange()).trust.sequence).toBe(1)
    expect((await call(service, 'GET', '/ready')).status).toBe(200)
    expect(await keyEvents(service)).toEqual([])
  })

  test('shows what waits, since when and until when', async () => {
    const draft = await getDraft(service)
    const made = (await storedKeys(service, 'bucket')).concat(await storedKeys(service, 'attestation'))
    expect(draft).toMatchObject({ previous: { sequence: 1 }, next: { sequence: 2 } })
    const kids = draft?.next.keys.map(({ kid }) => kid)
    expect(made.every(({ kid }) => kids?.includes(kid))).toBe(true)
    const active = made.filter(({ status }) => status === 'ACTIVE')
    expect(draft?.signBefore).toBe(Math.min(...active.map(({ notAfter }) => notAfter)) - 60 * MINUTE_MS)
    expect(draft?.awaitedSince).toBe(service.time.now - 60 * MINUTE_MS)
    expect(await eventsOf(service, 'trust.bundle_drafted')).toMatchObject([
      { severity: 'notice', data: { trustSequence: 2, ended: [], removed: [] } },
    ])
  })

  test('says in the log of the service that it waits, once a day', async () => {
    const lines: string[] = []
    const output = { write: (line: string) => lines.push(line) } as unknown as NodeJS.WritableStream
    const parts = { ...rotationParts(service), logger: createLogger('info', output), refreshKeys: async () => {} }
    for (const hours of [0, 23, 1]) {
      await pass(service, hours * 60 * MINUTE_MS)
      await rotateOldSigningKeys(parts, service.time.now)
    }
    expect(lines).toHaveLength(2)
    expect(lines[0]).toMatch(
      /trust bundle 2 waits for the signature of the root of trust, which is offline, before \d{4}-/,
    )
  })

  test('goes on when the draft is signed: devices get it, and have the whole overlap before a new key signs', async () => {
    expect(await signDraft(service)).toMatchObject({ status: 200, body: { trustSequence: 2 } })
    expect(await getDraft(service)).toBeNull()
    expect(await rotate(service), 'published since now, not since it was made').toEqual([])
    expect((await device.exchange()).trust.sequence).toBe(2)
    await pass(service, 60 * MINUTE_MS)
    expect(await rotate(service)).toEqual(['activate'])
    expect(await statusesOf(service, 'bucket')).toEqual(['RETIRED', 'ACTIVE'])
    await pass(service, 10 * MINUTE_MS)
    expect((await device.exchange()).session).toBeDefined()
    expect((await (await enrol(service)).exchange()).session).toBeDefined()
  })

  test('tells who submitted it, and of each key, in the log of the service', async () => {
    const signed = await eventsOf(service, 'trust.bundle_signed')
    expect(signed).toMatchObject([
      {
        organizationId: '00000000-0000-0000-0000-000000000000',
        actor: { type: 'api_token', id: service.adminToken.slice(3, 39) },
        subject: { kid: service.serviceKeys.rootKid },
        data: { trustSequence: 2 },
      },
    ])
    const published = await eventsOf(service, 'signing_key.published')
    expect(published.map(({ subject }) => subject.kid)).toEqual(signed[0].data.added)
  })

  test('draws one draft from what comes due after each other, without activation waiting for it', async () => {
    await pass(service, 65 * MINUTE_MS)
    const parts = rotationParts(service, { rotation: sameAge })
    // The log's key is old by this setting, the retired ones are no longer needed.
    expect(await rotate(service, parts)).toEqual(['withdraw', 'publish'])
    const first = await getDraft(service)
    expect(first?.next.sequence).toBe(3)
    const gone = (await storedKeys(service, 'bucket'))[0]?.kid
    expect(first?.next.keys.some(({ kid }) => kid === gone)).toBe(false)
    const [, audit] = await storedKeys(service, 'audit')
    expect(first?.next.keys.some(({ kid }) => kid === audit?.kid)).toBe(true)
    await signDraft(service)
    await pass(service, DAY_MS)
    expect(await rotate(service, parts)).toEqual(['activate'])
    expect(await statusesOf(service, 'audit')).toEqual(['RETIRED', 'ACTIVE'])
    const ending = await getDraft(service)
    const [retired] = await storedKeys(service, 'audit')
    expect(ending?.next.keys.find(({ kid }) => kid === retired?.kid)?.notAfter).toBe(retired?.notAfter)
    expect(ending?.signBefore).toBeNull()
    expect((await signDraft(service)).body).toEqual({ trustSequence: 4 })
    expect((await device.exchange()).trust.sequence).toBe(4)
    const { body } = await call(service, 'GET', '/v1/trust?after=0')
    expect(body.items.map(({ sequence }: { sequence: number }) => sequence)).toEqual([1, 2, 3, 4])
  })

  test('ends when the root of trust is back, which signs what waited', async () => {
    await pass(service, 90 * DAY_MS)
    expect(await rotate(service), 'the retired ones are long over').toEqual(['withdraw', 'publish'])
    const root = await service.root()
    const operation = await service.operation()
    const other = await startOfflineRootService()
    onTestFinished(() => other.close())
    await other.takeOffline()
    const wrong = await other.root()
    await expect(bringRootOnline(operation, wrong, service.time.now)).rejects.toMatchObject({ code: 'root_file_wrong' })
    const ahead = (rootFile?: Signer) =>
      operation.database.withOrganization(NIL_UUID, (tx) =>
        bringTrustAhead(tx, { crypto, rootKey: operation.custody.rootKey, rootFile }, 2, service.time.now),
      )
    await expect(ahead()).rejects.toMatchObject({ code: 'root_offline' })
    await expect(ahead(wrong.signer)).rejects.toMatchObject({ code: 'root_file_wrong' })
    expect(await ahead(root.signer)).toBe(6)
    expect((await getDraft(service))?.next.sequence, 'what waits follows the newest').toBe(7)
    expect(await bringRootOnline(operation, root, service.time.now)).toBe(true)
    expect(await bringRootOnline(operation, root, service.time.now), 'twice').toBe(false)
    expect(await eventsOf(service, 'root.brought_online')).toHaveLength(1)
    expect(await rotate(service)).toEqual(['sign'])
    expect(await getDraft(service)).toBeNull()
    expect((await device.exchange()).trust.sequence).toBe(7)
    await pass(service, 60 * MINUTE_MS)
    expect(await rotate(service)).toEqual(['activate'])
    await pass(service, 75 * MINUTE_MS)
    expect(await rotate(service), 'by itself again').toEqual(['withdraw'])
    expect(await countBundles(service)).toBe(8)
  })
})
