import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openAttestations } from '../../client/attestations.ts'
import { fromBase64url } from '../../protocol/encoding.ts'
import { verifyJws } from '../../protocol/jws.ts'
import { newId } from '../../runtime/ids.ts'
import { call } from '../support/api.ts'
import { attest } from '../support/attestation.ts'
import { runHere } from '../support/run-here.ts'
import { crypto, type TestService } from '../support/service.ts'
import { enterWithTpm, otherPcrs, quoteOf } from '../support/tpm/device.ts'
import { newTpm, startTpmService } from '../support/tpm/service.ts'

let service: TestService
let folder: string
let deviceId: string
/** The newest first. */
let ids: string[]

beforeAll(async () => {
  service = await startTpmService()
  folder = mkdtempSync(join(tmpdir(), 'qflare-attestation-'))
  writeFileSync(join(folder, 'admin'), service.adminToken, { mode: 0o600 })
  const tpm = newTpm()
  const party = await enterWithTpm(service, tpm, 'edge')
  deviceId = party.deviceId
  await attest(service, party, (binding) => [quoteOf(tpm, binding, { pcrs: otherPcrs })])
  const { items } = await openAttestations({ url: service.url, apiToken: service.adminToken }).listAttestations()
  ids = items.map(({ id }) => id)
})
afterAll(async () => {
  await service.close()
  rmSync(folder, { recursive: true })
})

const env = () => ({ QFLARE_URL: service.url, QFLARE_ADMIN_TOKEN_FILE: join(folder, 'admin') })
const qflare = (...args: string[]) => runHere(args, { env: env() })

describe('qflare attestation', () => {
  test('lists results by device and tier', async () => {
    const run = await qflare('attestation', 'list', '--device', deviceId, '--json')
    expect(JSON.parse(run.stdout)).toMatchObject({
      items: [
        { id: ids[0], tier: 'contraindicated' },
        { id: ids[1], tier: 'affirming' },
      ],
      more: false,
    })
    const bad = await qflare('attestation', 'list', '--tier', 'contraindicated')
    expect(bad.stdout).toContain(ids[0])
    expect(bad.stdout).not.toContain(ids[1])
    expect((await qflare('attestation', 'list', '--tier', 'splendid')).exitCode).toBe(2)
  })

  test('shows a result line by line', async () => {
    const run = await qflare('attestation', 'show', ids[0] ?? '')
    expect(run).toMatchObject({ exitCode: 0 })
    expect(run.stdout).toMatch(/^tier +contraindicated$/m)
    expect(run.stdout).toMatch(/^tpm2\.pcrs +executables 96, contraindicated$/m)
    expect(run.stdout).toContain('in PCR 4 (sha256)')
    const none = await qflare('attestation', 'show', newId())
    expect(none).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('not_found') })
    expect((await qflare('attestation', 'show', 'nonsense')).exitCode).toBe(2)
  })

  test('prints the result as it was signed', async () => {
    const run = await qflare('attestation', 'ear', ids[1] ?? '')
    const [key] = (await call(service, 'GET', '/.well-known/jwks.json')).body.keys
    const signer = crypto.importVerificationKey('ML-DSA-44', fromBase64url(key.pub))
    expect(verifyJws(crypto, run.stdout.trim(), signer)).toMatchObject({ ear_status: 'affirming' })
  })

  test('writes the evidence into a new file, of which qflare policy test says the same without a server', async () => {
    const out = join(folder, 'evidence.json')
    const run = await qflare('attestation', 'evidence', ids[0] ?? '', '--out', out)
    expect(run).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('edge@1') })
    const policy = join(folder, 'policy.json')
    writeFileSync(policy, JSON.stringify(JSON.parse(readFileSync(out, 'utf8')).result.policy))
    const again = await runHere(['policy', 'test', policy, out], { env: {} })
    expect(again).toMatchObject({ exitCode: 1, stdout: expect.stringContaining('tpm2.pcrs') })
    expect(again.stdout).toContain('The service found contraindicated, by edge@1.')
    expect((await qflare('attestation', 'evidence', ids[0] ?? '', '--out', out)).exitCode).toBe(4)
  })
})
