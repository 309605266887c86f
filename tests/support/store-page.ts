import { updateDeviceState } from '../../client/device-state.ts'
import { createIndexedDbStore } from '../../client/indexed-db-store.ts'
import { deviceStoreContract, newState } from './device-store-contract.ts'

/** What a test calls inside a page. */
export const storePage = {
  /** Throws when the guarantee does not hold. */
  check: (guarantee: string) => deviceStoreContract[guarantee]?.(() => createIndexedDbStore(guarantee)),

  begin: async (name: string) => createIndexedDbStore(name).save(await newState()),

  /** `times` changes by this page, however often another one is faster. */
  async raise(name: string, times: number): Promise<void> {
    const store = createIndexedDbStore(name)
    for (let done = 0; done < times; ) {
      try {
        await updateDeviceState(store, (state) => ({ ...state, bucketFloor: state.bucketFloor + 1 }))
        done++
      } catch (error) {
        if ((error as { code?: unknown }).code !== 'state_changed') throw error
      }
    }
  },

  async read(name: string) {
    const { bucketFloor, revision } = (await createIndexedDbStore(name).load()) ?? {}
    return { bucketFloor, revision }
  },
}

Object.assign(globalThis, { storePage })
