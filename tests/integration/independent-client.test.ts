import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { enrollDevice } from '../../client/enroll-device.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import { fromBase64url, toBase64url } from '../../protocol/encoding.ts'
import { communicationKey, type KeyPurpose, ratchet, roundContext } from '../../protocol/exchange/epochs.ts'
import { parseRoundCertificateFile } from '../../protocol/rounds/round-certificate.ts'
import { verifyRoundCertificate } from '../../protocol/rounds/verify-round-certificate.ts'
import { createToken } from '../support/api.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'

const program = fileURLToPath(new URL('../interop/independent-client.js', import.meta.url))
const federationId = '0197b2f0-0000-7000-8000-0000000000fe'
let service: TestService

beforeAll(async () => {
  service = await startTestService({ isRealTime: true })
})
afterAll(() => service.close())

// Written from docs/protocol.md and docs/api.md alone, sharing no code with us: when it fails, the documents are wrong or we are.
test.each(['ML-DSA-44', 'ML-DSA-65', 'ML-DSA-87'])('a stranger’s client with %s derives our keys', async (alg) => {
  const [{ token }, { token: coordinatorToken, pin }] = [
    await createToken(service),
    await createToken(service, { kind: 'coordinator' }),
  ]
  // A device of our library, in a round that the stranger runs.
  const { token: ours } = await createToken(service)
  const device = await enrollDevice({ url: service.url, token: ours, name: 'ours', store: createMemoryStore() })
  const { deviceId } = await device.exchange()
  const env = {
    PATH: process.env.PATH,
    QFLARE_ENROLLMENT_TOKEN: token,
    QFLARE_COORDINATOR_TOKEN: coordinatorToken,
    QFLARE_MEMBERS: deviceId,
  }
  const { stdout } = await promisify(execFile)(process.execPath, [program, service.url, alg], { env })
  const said = JSON.parse(stdout) as Said
  expect(said.checks.length).toBeGreaterThan(25)
  const { sessionId = '', epoch } = said
  const chain = fromBase64url(said.chain0 ?? '', 64)
  const next = ratchet(crypto, chain, epoch)
  const derive = (from: Uint8Array, at: number, purpose: KeyPurpose, context?: Uint8Array) =>
    toBase64url(communicationKey(crypto, from, { sessionId, epoch: at, purpose, ...(context && { context }) }))
  expect(said).toMatchObject({
    encryption: derive(chain, epoch, 'encryption'),
    signing: derive(chain, epoch, 'signing'),
    nextEncryption: derive(next, epoch + 1, 'encryption'),
    nextSigning: derive(next, epoch + 1, 'signing'),
    roundKey: derive(chain, epoch, 'round', roundContext(federationId, 7)),
  })
  const { federationId: theirs, round, keys, file } = said.round
  expect(Object.keys(keys)).toHaveLength(2)
  expect(toBase64url((await device.roundKey(theirs, round)).key)).toBe(keys[deviceId])
  const { certificate } = verifyRoundCertificate(crypto, parseRoundCertificateFile(file), {
    rootPin: pin,
    requireProof: true,
  })
  expect(certificate.participants.map((participant) => participant.deviceId)).toContain(deviceId)
})

type Said = Record<string, string> & {
  epoch: number
  checks: string[]
  round: { federationId: string; round: number; keys: Record<string, string>; file: string }
}
