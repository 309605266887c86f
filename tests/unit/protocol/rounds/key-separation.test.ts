import fc from 'fast-check'
import { expect, it } from 'vitest'
import { uuidFromBytes } from '../../../../protocol/encoding.ts'
import {
  communicationKey,
  type KeyPurpose,
  keyPurposes,
  ratchet,
  roundContext,
} from '../../../../protocol/exchange/epochs.ts'
import { roundKeysContext } from '../../../../protocol/rounds/sealed-round-keys.ts'
import { native as crypto, toHex } from '../../../support/protocol-providers.ts'

const EPOCHS = 3
const id = fc.uint8Array({ minLength: 16, maxLength: 16 }).map(uuidFromBytes)
const ids = fc.uniqueArray(id, { minLength: 2, maxLength: 3 })
const chain = fc.uint8Array({ minLength: 64, maxLength: 64 })

/** What each purpose may be asked for with, in these federations and rounds. */
function contextsOf(purpose: KeyPurpose, federations: readonly string[], rounds: readonly number[]): Uint8Array[] {
  if (purpose === 'encryption' || purpose === 'signing') return [new Uint8Array(0)]
  const each = federations.flatMap((federation) => rounds.map((round) => ({ federation, round })))
  if (purpose === 'token') return each.map((_, index) => new Uint8Array(32).fill(index))
  if (purpose === 'round') return each.map(({ federation, round }) => roundContext(federation, round))
  return each.map(({ federation, round }) => roundKeysContext(federation, round, new Uint8Array(12).fill(round % 251)))
}

it('no two keys are alike, whatever differs: device, epoch, purpose, federation or round', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(chain, { minLength: 2, maxLength: 2, selector: toHex }),
      ids,
      ids,
      fc.nat({ max: 2 ** 31 }),
      fc.uniqueArray(fc.maxSafeNat(), { minLength: 2, maxLength: 3 }),
      (chains, sessions, federations, firstEpoch, rounds) => {
        const keys: string[] = []
        for (const [device, first] of chains.entries()) {
          let current = Uint8Array.from(first)
          for (let epoch = firstEpoch; epoch < firstEpoch + EPOCHS; epoch++) {
            const sessionId = sessions[device] as string
            for (const purpose of keyPurposes) {
              for (const context of contextsOf(purpose, federations, rounds)) {
                keys.push(toHex(communicationKey(crypto, current, { sessionId, epoch, purpose, context })))
              }
            }
            current = Uint8Array.from(ratchet(crypto, current, epoch))
          }
        }
        expect(new Set(keys).size).toBe(keys.length)
      },
    ),
    { numRuns: 30 },
  )
})

it('not even when two sessions had one chain, or two epochs: their names are in each key', () => {
  fc.assert(
    fc.property(
      chain,
      ids,
      id,
      fc.nat({ max: 2 ** 31 }),
      fc.maxSafeNat(),
      (shared, sessions, federation, epoch, round) => {
        const context = roundContext(federation, round)
        const keys = sessions.flatMap((sessionId) =>
          [epoch, epoch + 1].map((at) =>
            toHex(communicationKey(crypto, shared, { sessionId, epoch: at, purpose: 'round', context })),
          ),
        )
        expect(new Set(keys).size).toBe(keys.length)
      },
    ),
    { numRuns: 30 },
  )
})
