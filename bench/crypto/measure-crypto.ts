import { deriveExchangeKeys } from '../../protocol/exchange/key-schedule.ts'
import { createNativePrimitives } from '../../protocol/primitives/native.ts'
import { createPortablePrimitives } from '../../protocol/primitives/portable.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { signatureContexts } from '../../protocol/suites.ts'
import { openRecord, sealRecord } from '../../runtime/custody/sealed-record.ts'
import { type Figure, summarize } from '../figure.ts'

interface Operation {
  name: string
  run: () => unknown
  /** Milliseconds that the design promises of the native provider on one core. */
  targetMs?: number
}

/** Of one operation: so many samples, each of as many calls as fill the time. */
const SAMPLES = 21
const SAMPLE_MS = 20

/** Every operation of an exchange by either provider, alone on one core: milliseconds a call, and calls a second. */
export function measureCrypto(): Figure[] {
  return [createNativePrimitives(), createPortablePrimitives()].flatMap((crypto) =>
    listOperations(crypto).flatMap(({ name, run, targetMs }) => {
      const samples = sample(run)
      const of = { part: 'crypto', name: `${name}, ${crypto.provider}` }
      const target = crypto.provider === 'native' && targetMs !== undefined ? { target: targetMs } : {}
      const perSecond = samples.map((ms) => 1000 / ms)
      return [
        summarize({ ...of, unit: 'ms', ...target }, samples),
        summarize({ ...of, name: `${of.name}, rate`, unit: '/s', better: 'higher' }, perSecond),
      ]
    }),
  )
}

function listOperations(crypto: Primitives): Operation[] {
  const seed = crypto.randomBytes(64)
  const decapsulationKey = crypto.importDecapsulationKey('ML-KEM-1024', seed)
  const encapsulationKey = crypto.importEncapsulationKey('ML-KEM-1024', decapsulationKey.encapsulationKey)
  const { ciphertext, sharedSecret } = encapsulationKey.encapsulate()
  const signingKey = crypto.importSigningKey('ML-DSA-44', seed.subarray(0, 32))
  const verificationKey = crypto.importVerificationKey('ML-DSA-44', signingKey.publicKey)
  const message = crypto.randomBytes(64)
  const signature = signingKey.sign(message, signatureContexts.exchange)
  return [
    { name: 'ML-KEM-1024 keygen', targetMs: 0.1, run: () => crypto.importDecapsulationKey('ML-KEM-1024', seed) },
    { name: 'ML-KEM-1024 encapsulate', targetMs: 0.15, run: () => encapsulationKey.encapsulate() },
    { name: 'ML-KEM-1024 decapsulate', targetMs: 0.2, run: () => decapsulationKey.decapsulate(ciphertext) },
    { name: 'ML-DSA-44 sign', targetMs: 0.5, run: () => signingKey.sign(message, signatureContexts.exchange) },
    {
      name: 'ML-DSA-44 verify',
      targetMs: 0.1,
      run: () => verificationKey.verify(message, signatureContexts.exchange, signature),
    },
    {
      name: 'SHA3-512 key schedule',
      run: () =>
        deriveExchangeKeys(crypto, {
          th2: message,
          bucket: 1,
          sharedSecretS: sharedSecret,
          sharedSecretD: sharedSecret,
        }),
    },
    ...listSealing(crypto, message),
  ]
}

function listSealing(crypto: Primitives, plaintext: Uint8Array): Operation[] {
  const key = crypto.randomBytes(32)
  const header = { purpose: 'chain', keyVersion: 1 } as const
  const organizationId = '00000000-0000-0000-0000-000000000000'
  const place = { organizationId, table: 'session', column: 'chains', primaryKey: crypto.randomBytes(24) }
  const record = sealRecord(crypto, key, header, place, plaintext)
  return [
    { name: 'seal 64 bytes', run: () => sealRecord(crypto, key, header, place, plaintext) },
    { name: 'open 64 bytes', run: () => openRecord(crypto, key, header.purpose, place, record) },
  ]
}

/** Milliseconds of one call, by sample. */
function sample(run: () => unknown): number[] {
  const calls = callsIn(run, SAMPLE_MS)
  return Array.from({ length: SAMPLES }, () => timeOf(run, calls) / calls)
}

/** Warms up on the way. */
function callsIn(run: () => unknown, ms: number): number {
  let calls = 1
  while (timeOf(run, calls) < ms) calls *= 2
  return calls
}

function timeOf(run: () => unknown, calls: number): number {
  const startedAt = performance.now()
  for (let i = 0; i < calls; i++) run()
  return performance.now() - startedAt
}
