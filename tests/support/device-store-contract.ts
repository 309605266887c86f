import { type DeviceState, type DeviceStore, updateDeviceState } from '../../client/device-state.ts'
import { choosePrimitives } from '../../protocol/primitives/choose.ts'
import { createFakeAuthority, newUuid } from '../unit/client/fake-authority.ts'

/**
 * What every DeviceStore guarantees. The cases run in a page too, where there is no test runner: they throw. `createStore`
 * opens the same store each time, as another process or tab would.
 */
export const deviceStoreContract: Record<string, (createStore: () => DeviceStore) => Promise<void>> = {
  'loads what was saved, and nothing before': async (createStore) => {
    const store = createStore()
    await store.prepare()
    equal(await store.load(), undefined)
    const state = await newState()
    await store.save(state)
    equal(await createStore().load(), state)
  },

  'refuses a save that is not based on what is stored': async (createStore) => {
    const store = createStore()
    const state = await newState()
    equal(await codeOf(store.save({ ...state, revision: 2 })), 'state_changed')
    await store.save(state)
    equal(await codeOf(createStore().save(await newState())), 'state_changed')
    await store.save({ ...state, revision: 2, bucketFloor: 7 })
    equal(await codeOf(store.save({ ...state, revision: 2, bucketFloor: 3 })), 'state_changed')
    equal(await codeOf(store.save({ ...state, revision: 4 })), 'state_changed')
    equal(await createStore().load(), { ...state, revision: 2, bucketFloor: 7 })
  },

  'lets one of two first saves win': async (createStore) => {
    const states = [await newState(), await newState()]
    const results = await Promise.all(states.map((state) => codeOf(createStore().save(state))))
    equal([...results].sort(), ['saved', 'state_changed'])
    equal(await createStore().load(), states[results.indexOf('saved')])
  },

  'keeps every change of writers that meet': async (createStore) => {
    await createStore().save(await newState())
    const raise = () => updateDeviceState(createStore(), (state) => ({ ...state, bucketFloor: state.bucketFloor + 1 }))
    await Promise.all([raise(), raise(), raise()])
    const { bucketFloor, revision } = (await createStore().load()) as DeviceState
    equal({ bucketFloor, revision }, { bucketFloor: 3, revision: 4 })
  },

  'stays whole when a save fails': async (createStore) => {
    const store = createStore()
    const state = await newState()
    await store.save(state)
    const bad = { ...state, revision: 2, trust: undefined as never }
    if ((await codeOf(store.save(bad))) === 'saved') throw new Error('A broken state was saved.')
    equal(await createStore().load(), state)
    await store.save({ ...state, revision: 2 })
  },

  'gives its caller bytes that may be wiped': async (createStore) => {
    const store = createStore()
    const state = await newState()
    await store.save(state)
    ;(await store.load())?.identity.seed.fill(0)
    equal(await store.load(), state)
  },

  'can be prepared beside a device that is there, and changes nothing': async (createStore) => {
    const state = await newState()
    await createStore().save(state)
    await createStore().prepare()
    equal(await createStore().load(), state)
  },

  'changes nothing when there is no device': async (createStore) => {
    equal(await codeOf(updateDeviceState(createStore(), (state) => state)), 'not_enrolled')
  },

  'holds no chain key that was replaced': async (createStore) => {
    const store = createStore()
    const state = await newState()
    const session = newSession(new Uint8Array(64).fill(1))
    await store.save({ ...state, session })
    await store.save({ ...state, revision: 2, session: { ...session, chain: new Uint8Array(64).fill(2) } })
    equal((await createStore().load())?.session?.chain, new Uint8Array(64).fill(2))
    await store.save({ ...state, revision: 3 })
    equal(await createStore().load(), { ...state, revision: 3 })
  },
}

const crypto = await choosePrimitives()
const bundle = createFakeAuthority(crypto).bundles[0] as DeviceState['trust']

export async function newState(): Promise<DeviceState> {
  return {
    version: 1,
    revision: 1,
    serverUrl: 'http://127.0.0.1:8470',
    deviceId: newUuid(crypto),
    kind: 'device',
    name: 'edge-1',
    spiffeId: 'spiffe://test.qflare/default/device/1',
    identity: { alg: 'ML-DSA-44', seed: Uint8Array.from(crypto.randomBytes(32)) },
    trust: bundle,
    bucketFloor: 0,
  }
}

export function newSession(chain: Uint8Array): NonNullable<DeviceState['session']> {
  return {
    sessionId: newUuid(crypto),
    expiresAt: 2,
    firstEpoch: 1,
    epoch: 1,
    chain,
    clockOffsetMs: 0,
    nextExchangeAt: 1,
    accessToken: 'access',
    accessTokenExpiresAt: 1,
  }
}

async function codeOf(saving: Promise<unknown>): Promise<string> {
  try {
    await saving
    return 'saved'
  } catch (error) {
    return String((error as { code?: unknown }).code ?? error)
  }
}

function equal(actual: unknown, expected: unknown): void {
  const [one, other] = [actual, expected].map((value) => JSON.stringify(comparable(value)))
  if (one !== other) throw new Error(`expected ${other}, got ${one}`)
}

/** Members in one order; bytes as text, whatever kind of array holds them. */
function comparable(value: unknown): unknown {
  if (value instanceof Uint8Array) return `bytes ${Array.from(value).join(' ')}`
  if (Array.isArray(value)) return value.map(comparable)
  if (typeof value !== 'object' || value === null) return value
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(members.map(([name, member]) => [name, comparable(member)]))
}
