import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openCustody } from '../../operations/open-custody.ts'
import { bringRootOnline } from '../../operations/root-bring-online.ts'
import { type RootInFile, readRootFile } from '../../operations/root-file.ts'
import { takeRootOffline } from '../../operations/root-take-offline.ts'
import { toBase64url } from '../../protocol/encoding.ts'
import type { UnsignedTrustBundle, WireTrustBundle } from '../../protocol/trust.ts'
import { createEventWriter } from '../../runtime/audit-events.ts'
import type { Config } from '../../runtime/config.ts'
import { openRootOfTrust } from '../../runtime/custody/service-keys.ts'
import { signTrustBundle } from '../../runtime/custody/sign-trust-bundle.ts'
import { createRootKeyWrapper, type Wrapper } from '../../runtime/custody/wrapper.ts'
import type { RotationTimes } from '../../runtime/rotation-setting.ts'
import { type Answer, call } from './api.ts'
import { rotate, rotationParts } from './rotation.ts'
import { crypto, startTestService, type TestService } from './service.ts'

export interface OfflineRootService extends TestService {
  /** For the test's files; the root of trust lies in `rootFile` when it was taken offline. */
  folder: string
  rootFile: string
  wrapper: Wrapper
  /** What an operation on the machine works with. */
  operation(): Promise<Parameters<typeof takeRootOffline>[0]>
  takeOffline(): Promise<string>
  root(): Promise<RootInFile>
}

/** A service whose root of trust can be taken offline as `qflare root take-offline` does it. */
export async function startOfflineRootService(): Promise<OfflineRootService> {
  const rootKey = crypto.randomBytes(32)
  const service = await startTestService({ rootKey })
  const folder = await mkdtemp(join(tmpdir(), 'qflare-root-'))
  const rootFile = join(folder, 'root.json')
  const operation = () => openOperation(service, rootKey)
  return {
    ...service,
    folder,
    rootFile,
    wrapper: createRootKeyWrapper(crypto, rootKey),
    operation,
    takeOffline: async () => takeRootOffline(await operation(), rootFile, service.time.now),
    root: () => readRootFile(crypto, rootFile),
    async close() {
      await service.close()
      await rm(folder, { recursive: true })
    },
  }
}

/** What an operation on the machine of this service works with. */
async function openOperation(service: TestService, rootKey: Uint8Array) {
  const database = service.database.open('qflare_worker', 1)
  const env = { QFLARE_ROOT_KEY: toBase64url(rootKey) }
  const config = { database: {}, dataDirectory: 'none' } as unknown as Config
  const custody = await openCustody({ database, crypto, env, config })
  return { database, crypto, custody, writeEvent: createEventWriter(crypto) }
}

/** A bundle that waits, is signed and submitted while the root of trust is away, which then comes back. */
export async function signWhileAway(service: TestService, rootKey: Uint8Array, rotation: RotationTimes): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'qflare-root-'))
  const path = join(folder, 'root.json')
  await takeRootOffline(await openOperation(service, rootKey), path, service.time.now)
  await rotate(service, rotationParts(service, { rotation }))
  const root = await readRootFile(crypto, path)
  const { status } = await submit(
    service,
    await signTrustBundle(root.signer, ((await getDraft(service)) as Awaited).next),
  )
  if (status !== 200) throw new Error(`The signed bundle was answered ${status}.`)
  await bringRootOnline(await openOperation(service, rootKey), root, service.time.now)
  await rm(folder, { recursive: true })
}

export interface Awaited {
  previous: WireTrustBundle
  next: UnsignedTrustBundle
  awaitedSince: number
  signBefore: number | null
}

export async function getDraft(service: TestService): Promise<Awaited | null> {
  const { body } = await call(service, 'GET', '/v1/trust/draft', { token: service.adminToken })
  return body.draft
}

export const submit = (service: TestService, bundle: WireTrustBundle): Promise<Answer> =>
  call(service, 'POST', '/v1/trust', { token: service.adminToken, body: bundle })

/** Signs whatever it is given. */
export async function sign(service: OfflineRootService, next: UnsignedTrustBundle): Promise<WireTrustBundle> {
  return signTrustBundle((await service.root()).signer, next)
}

/** The way of the draft of now to the root of trust and back. */
export async function signDraft(service: OfflineRootService): Promise<Answer> {
  const draft = await getDraft(service)
  if (draft === null) throw new Error('nothing waits for the root of trust')
  return submit(service, await sign(service, draft.next))
}

/** A signed bundle that the service waits for, with the same keys once more, made behind its back: its root of trust is where it is. */
export async function awaitSigned({ database: { sql }, serviceKeys }: TestService): Promise<WireTrustBundle> {
  const { rows } = await sql.query('select body from trust_bundle order by sequence desc limit 1')
  const { trustDomain, sequence, keys } = rows[0].body as WireTrustBundle
  const next = { trustDomain, sequence: sequence + 1, keys }
  await sql.query('delete from trust_bundle_draft')
  await sql.query('insert into trust_bundle_draft (sequence, body, created_at) values ($1, $2, now())', [
    next.sequence,
    JSON.stringify(next),
  ])
  const root = await sql.query(`select kid, alg, sealed_seed as "sealedSeed" from signing_key where key_use = 'root'`)
  const { signer } = await openRootOfTrust(crypto, serviceKeys.keyring, root.rows[0])
  if (signer === undefined) throw new Error('the root of trust is offline')
  return signTrustBundle(signer, next)
}
