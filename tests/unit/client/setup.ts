import { afterEach } from 'vitest'
import type { QflareDevice } from '../../../client/device.ts'
import type { DeviceStore } from '../../../client/device-state.ts'
import { enrollDevice } from '../../../client/enroll-device.ts'
import { createMemoryStore } from '../../../client/memory-store.ts'
import { BUCKET_MS } from '../../../protocol/exchange/bucket.ts'
import { type FakeServer, startFakeServer } from './fake-server.ts'

export const firstBucket = 5_984_394
/** A minute into the first bucket. */
export const startAt = firstBucket * BUCKET_MS + 60_000

export interface Setup {
  server: FakeServer
  store: DeviceStore
  device: QflareDevice
  /** The device's clock, apart from the server's. */
  clock: { now: number }
  /** Moves both clocks. */
  pass: (ms: number) => void
}

const servers: FakeServer[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await server[Symbol.asyncDispose]()
})

export async function startServer(): Promise<FakeServer> {
  const server = await startFakeServer(startAt)
  servers.push(server)
  return server
}

/** A server, and a device enrolled there. */
export async function enrolledDevice(): Promise<Setup> {
  const server = await startServer()
  const store = createMemoryStore()
  const clock = { now: startAt }
  const device = await enrollDevice({
    url: server.url,
    token: server.newToken(),
    store,
    name: 'edge-1',
    now: () => clock.now,
    wait: async () => undefined,
  })
  const pass = (ms: number) => {
    clock.now += ms
    server.now += ms
  }
  return { server, store, device, clock, pass }
}

/** The code of the error that `promise` ends with. */
export async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return (error as { code?: unknown }).code ?? error
  }
  return 'nothing was thrown'
}
