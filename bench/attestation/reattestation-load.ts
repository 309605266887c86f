import type { Attester } from '../../client/attester.ts'
import type { QflareDevice } from '../../client/device.ts'
import { enrollDevice } from '../../client/enroll-device.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import { openOperator } from '../../client/operator.ts'
import { activateCredential } from '../../tests/support/tpm/activate-credential.ts'
import { createTpmPolicy, keysOf, quoteOf, tpmNamed } from '../../tests/support/tpm/device.ts'
import { toText } from '../../tests/support/tpm/evidence.ts'
import { trustTestTpms } from '../../tests/support/tpm/service.ts'
import type { SoftwareTpm } from '../../tests/support/tpm/software-tpm.ts'

// Devices with TPMs in software, in a process of their own: what they cost is theirs. Each has a session.

export type ReattestationOrder =
  | { order: 'enter'; url: string; adminToken: string; devices: number }
  | { order: 'attest'; attestations: number }
export interface ReattestationAnswer {
  seconds: number
  latenciesMs: number[]
}

let devices: QflareDevice[] = []

async function enter(order: Extract<ReattestationOrder, { order: 'enter' }>): Promise<ReattestationAnswer> {
  // The authority of the TPMs is made in this process.
  await trustTestTpms(order)
  const { id: policyId } = await createTpmPolicy(order, 'bench')
  const operator = openOperator({ url: order.url, apiToken: order.adminToken })
  devices = []
  for (let i = 0; i < order.devices; i++) {
    const { token } = await operator.createEnrollmentToken({ kind: 'device', policyId })
    const attesters = [toAttester(tpmNamed(`bench ${i}`))]
    const store = createMemoryStore()
    const device = await enrollDevice({ url: order.url, token, store, name: `bench-${i}`, attesters })
    await device.exchange()
    devices.push(device)
  }
  return { seconds: 0, latenciesMs: [] }
}

function toAttester(tpm: SoftwareTpm): Attester {
  let enrolling: Awaited<ReturnType<NonNullable<Attester['activate']>>> = {}
  return {
    format: 'tpm2',
    credentialRequest: async () => keysOf(tpm),
    async activate(credential) {
      enrolling = { ...keysOf(tpm), activatedSecret: toText(activateCredential(tpm, credential)) }
      return enrolling
    },
    collect: async (binding) => quoteOf(tpm, binding),
  }
}

/** Each device attests one time after the other, all devices at once, until the count is reached. */
async function attest(count: number): Promise<ReattestationAnswer> {
  const latenciesMs: number[] = []
  let started = 0
  const startedAt = performance.now()
  await Promise.all(
    devices.map(async (device) => {
      while (started++ < count) {
        const askedAt = performance.now()
        const { attestation } = await device.attest()
        if (attestation.tier !== 'affirming') throw new Error(`A device of the bench is ${attestation.tier}.`)
        latenciesMs.push(performance.now() - askedAt)
      }
    }),
  )
  return { seconds: (performance.now() - startedAt) / 1000, latenciesMs }
}

process.on('message', (order: ReattestationOrder) => {
  const work = order.order === 'enter' ? enter(order) : attest(order.attestations)
  work.then(
    (answer) => process.send?.(answer),
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    },
  )
})
