import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { openAuditor } from '../../client/auditor.ts'
import { findSealedSeed } from '../../database/repositories/signing-keys.ts'
import { type VerifiedCheckpoint, verifyCheckpoint } from '../../protocol/log/checkpoint.ts'
import { parseVerifierKey } from '../../protocol/log/verifier-key.ts'
import { openSigningKey } from '../../runtime/custody/service-keys.ts'
import type { Signer } from '../../runtime/custody/signer.ts'
import type { ProfileName } from '../../runtime/profile.ts'
import { createCheckpointSigner } from '../../workers/sequencer/sign-checkpoint.ts'
import { openTestLog } from '../support/log-writer.ts'
import { DAY_MS, pass, rotate, rotationParts, sameAge, storedKeys } from '../support/rotation.ts'
import { runHere } from '../support/run-here.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'

/** The keys of the audit log follow each other, and whatever was signed stays verifiable, but for what was signed too late. */

const rotateAll = (service: TestService) => rotate(service, rotationParts(service, { rotation: sameAge }))

async function newestCheckpoint(service: TestService): Promise<string> {
  const { rows } = await service.database.sql.query('select note from audit_checkpoint order by id desc limit 1')
  return rows[0].note
}

async function verifyPinned(service: TestService, note: string): Promise<VerifiedCheckpoint> {
  const auditor = openAuditor({ url: service.url, crypto })
  const { keys } = await auditor.fetchAuditKeys({ pin: service.serviceKeys.rootKid })
  return verifyCheckpoint(crypto, note, { log: keys })
}

/** As a thief has it, who was there before the key was retired. */
async function stealSigner(service: TestService, kid: string, alg: Signer['alg']): Promise<Signer> {
  const worker = service.database.open('qflare_worker', 1)
  const sealedSeed = (await worker.withoutOrganization((tx) => findSealedSeed(tx, kid))) as Uint8Array
  return openSigningKey(crypto, service.serviceKeys.keyring, { kid, alg, sealedSeed })
}

/** Up to the moment in which the successors of the keys of the log may sign. */
async function publishSuccessors(service: TestService): Promise<void> {
  await pass(service, 90 * DAY_MS)
  expect(await rotateAll(service)).toContain('publish')
  await pass(service, DAY_MS)
  await service.log.sequence()
}

describe.each(['default', 'cnsa-2.0'] as const satisfies ProfileName[])('in profile %s', (profile) => {
  const algs = profile === 'default' ? (['ML-DSA-44'] as const) : (['ML-DSA-44', 'ML-DSA-87'] as const)
  let service: TestService
  const stolen: Signer[] = []
  let before: string
  beforeAll(async () => {
    // The command goes by the clock of the machine: for it, the first rotation is over.
    service = await startTestService({ profile, now: Date.now() - 120 * DAY_MS })
    await publishSuccessors(service)
    for (const { kid, alg } of (await storedKeys(service, 'audit')).slice(0, algs.length)) {
      stolen.push(await stealSigner(service, kid, alg as Signer['alg']))
    }
    before = await newestCheckpoint(service)
  })
  afterAll(() => service.close())

  const signStolen = async (at: number) => {
    const [auditSigner, auditSigner87] = stolen as [Signer, Signer | undefined]
    const signer = createCheckpointSigner(crypto, 'test.example/audit', { auditSigner, auditSigner87 })
    const { size, root } = await verifyPinned(service, before)
    return (await signer.sign({ origin: 'test.example/audit', size, root }, Math.floor(at / 1000))).note
  }

  test('the sequencer goes over to the successors between two checkpoints, though nobody told it', async () => {
    expect(await rotateAll(service)).toContain('activate')
    const retired = stolen.map(({ keyId }) => keyId)
    expect(retired, 'it holds the old ones yet').toContain(service.serviceKeys.auditSigner.keyId)
    service.time.now += 1_000
    await service.log.sequence()
    const { signatures, signedAt } = await verifyPinned(service, await newestCheckpoint(service))
    expect(signatures.map(({ by }) => by.key.alg)).toEqual(algs)
    expect(signedAt).toBe(Math.floor(service.time.now / 1000) * 1000)
    expect(retired).not.toContain(service.serviceKeys.auditSigner.keyId)
  })

  test('what was signed before verifies as it did', async () => {
    expect((await verifyPinned(service, before)).signatures).toHaveLength(algs.length)
  })

  test('a retired key ends with the last checkpoint that it signed, or when it was retired', async () => {
    const { signedAt } = await verifyPinned(service, before)
    for (const { status, notAfter, hasSeed } of (await storedKeys(service, 'audit')).slice(0, algs.length)) {
      expect([status, hasSeed]).toEqual(['RETIRED', false])
      expect(notAfter).toBeGreaterThanOrEqual(signedAt)
      expect(notAfter).toBeLessThan(service.time.now)
    }
  })

  test('a retired key vouches for nothing that is signed after its end, whoever has it', async () => {
    const end = (await storedKeys(service, 'audit'))[0]?.notAfter ?? 0
    expect((await verifyPinned(service, await signStolen(end))).signatures).toHaveLength(algs.length)
    await expect(verifyPinned(service, await signStolen(end + 1_000))).rejects.toThrow(/may not have signed then/)
  })

  test('qflare audit key writes the end of a retired key behind it, and what is verified with that file ends there too', async () => {
    const args = ['audit', 'key', '--url', service.url, '--pin', service.serviceKeys.rootKid]
    const { stdout } = await runHere(args)
    const keys = stdout.split('\n').map((line) => parseVerifierKey(crypto, line))
    expect(stdout.split('\n').map((line) => line.includes(' until '))).toEqual([
      ...algs.map(() => true),
      ...algs.map(() => false),
    ])
    const end = (await storedKeys(service, 'audit'))[0]?.notAfter ?? 0
    const verify = async (at: number) => verifyCheckpoint(crypto, await signStolen(at), { log: keys })
    await expect(verify(end)).resolves.toBeDefined()
    await expect(verify(end + 1_000)).rejects.toThrow(/may not have signed then/)
  })

  test('a log whose checkpoint file was signed by a retired key is opened, with its successor', async () => {
    await publishSuccessors(service)
    const file = service.log.options.checkpointFile
    const signedBy = service.serviceKeys.auditSigner.keyId
    await rotateAll(service)
    await service.serviceKeys.refresh()
    expect(service.serviceKeys.auditSigner.keyId).not.toBe(signedBy)
    const again = await openTestLog({ ...service.log.options, signers: service.serviceKeys })
    expect(again.writer.size()).toBeGreaterThan(0)
    const { signatures } = await verifyPinned(service, await readFile(file, 'utf8'))
    expect(signatures).toHaveLength(algs.length)
  })
})

test('a key that is retired while the sequencer signs has signed nothing that is stored', async () => {
  const service = await startTestService()
  onTestFinished(() => service.close())
  await publishSuccessors(service)
  const retired = service.serviceKeys.auditSigner.keyId
  let rotations = 0
  const log = await openTestLog({
    ...service.log.options,
    signers: service.serviceKeys,
    onStep: async (step) => {
      if (step === 'signed' && rotations++ === 1) await rotateAll(service)
    },
  })
  const known = await newestCheckpoint(service)
  await log.writer.publish()
  expect(rotations, 'signed at the start, by the retired key, and once more').toBe(3)
  const { rows } = await service.database.sql.query(
    'select count(*)::int as count from audit_checkpoint where note = $1',
    [known],
  )
  expect(rows[0].count).toBe(1)
  const note = await newestCheckpoint(service)
  await expect(verifyPinned(service, note)).resolves.toBeDefined()
  expect(service.serviceKeys.auditSigner.keyId).not.toBe(retired)
})
