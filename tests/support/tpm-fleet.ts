import { X509Certificate } from 'node:crypto'
import { openDevice, type QflareDevice } from '../../client/device.ts'
import type { DeviceStore } from '../../client/device-state.ts'
import { enrollDevice } from '../../client/enroll-device.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import { openAttesters } from '../../client/open-attesters.ts'
import { openTpmAttester, type TpmAttesterOptions } from '../../client/tpm/tpm-attester.ts'
import type { PrincipalKind } from '../../protocol/enrollment.ts'
import { bucketAt } from '../../protocol/exchange/bucket.ts'
import { call, createToken } from './api.ts'
import { createPolicy } from './policies.ts'
import type { TestService } from './service.ts'
import type { TestTpm, TestTpmCa } from './swtpm.ts'

/** Devices of the library with real TPMs, at a service whose clock the test owns. */

/** Enrols with this TPM, and is opened again from what its store remembers. */
export async function enrollWithTpm(
  service: TestService,
  tpm: TestTpm,
  wish: { policyId: string; kind?: PrincipalKind; name?: string; tpm?: TpmAttesterOptions; store?: DeviceStore },
): Promise<{ device: QflareDevice; deviceId: string; store: DeviceStore }> {
  const { kind = 'device', name = 'edge', policyId, store = createMemoryStore() } = wish
  const { token } = await createToken(service, { kind, policyId })
  const now = () => service.time.now
  const attesters = [await openTpmAttester({ tcti: tpm.tcti, ...wish.tpm })]
  await enrollDevice({ url: service.url, token, name, kind, store, now, attesters })
  const device = await openDevice({
    store,
    now,
    monotonicNow: now,
    wait: passTime(service),
    attesters: await openAttesters(store),
  })
  return { device, store, deviceId: (await device.status()).deviceId }
}

/** Pauses that pass at once, for the service too. */
export function passTime(service: TestService): (ms: number, signal?: AbortSignal) => Promise<void> {
  return async (ms, signal) => {
    signal?.throwIfAborted()
    const bucket = bucketAt(service.time.now)
    service.time.now += ms
    if (bucketAt(service.time.now) !== bucket) await service.tick()
  }
}

/** What a quote of these PCRs is now, as a reference value. */
export async function readReferenceValue(tpm: TestTpm, pcrs: readonly number[]): Promise<object> {
  const printed = await tpm.run('pcrread', `sha256:${pcrs.join(',')}`)
  const values = [...printed.matchAll(/(\d+) *: 0x([0-9A-F]+)/g)]
  return { pcrs: { sha256: Object.fromEntries(values.map(([, pcr, value]) => [pcr, [value?.toLowerCase()]])) } }
}

export const TEST_PCRS = [0, 2, 4, 7]

/**
 * What an organization needs before its first TPM: the manufacturer's authority, what the PCRs ought to be, and a policy that wants
 * both. Gives the id of the policy.
 */
export async function preparePolicy(
  service: TestService,
  { ca, values }: { ca: Pick<TestTpmCa, 'certificates'>; values: readonly object[] },
): Promise<string> {
  const { root, intermediate } = await ca.certificates()
  await trustTpmCa(service, [root, intermediate])
  for (const value of values) await addReferenceValue(service, value)
  const tpm2 = { rules: { pcrs: TEST_PCRS }, referenceValues: [REFERENCE_NAME] }
  return (await createPolicy(service, 'edge-tpm', { evidence: { tpm2 }, enroll: ['affirming'] })).id
}

const REFERENCE_NAME = 'boot'

async function trustTpmCa(service: TestService, certificates: readonly Uint8Array[]): Promise<void> {
  const pem = certificates.map((der) => new X509Certificate(der).toString()).join('')
  await post(service, '/v1/trust-anchors', { format: 'tpm2', pem })
}

/** What the PCRs may be besides. */
export function addReferenceValue(service: TestService, value: object): Promise<void> {
  return post(service, '/v1/reference-values', { format: 'tpm2', name: REFERENCE_NAME, values: [value] })
}

export function clearQuarantine(service: TestService, deviceId: string): Promise<void> {
  return post(service, `/v1/devices/${deviceId}/clear-quarantine`, {})
}

async function post(service: TestService, path: string, body: object): Promise<void> {
  const answer = await call(service, 'POST', path, { token: service.adminToken, body })
  if (answer.status >= 300) throw new Error(`POST ${path}: ${JSON.stringify(answer.body)}`)
}
