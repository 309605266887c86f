import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { fromBase64url, toBase64url } from '../../protocol/encoding.ts'
import { communicationKey, type KeyPurpose, ratchet, roundContext } from '../../protocol/exchange/epochs.ts'
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
  const { token } = await createToken(service)
  const env = { PATH: process.env.PATH, QFLARE_ENROLLMENT_TOKEN: token }
  const { stdout } = await promisify(execFile)(process.execPath, [program, service.url, alg], { env })
  const said = JSON.parse(stdout) as Record<string, string> & { epoch: number; checks: string[] }
  expect(said.checks.length).toBeGreaterThan(15)
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
})
