import { expect, test } from 'vitest'
import { countKekUses, KekUsesError, type ReserveKekUses, USES_AT_ONCE } from '../../../runtime/custody/kek-uses.ts'
import { createLogger } from '../../../runtime/logger.ts'

/** What the database would have counted, by version. */
function openCounter() {
  const reserved = new Map<number, number>()
  const state = { isAway: false, calls: 0 }
  const reserve: ReserveKekUses = async (_, version, uses) => {
    state.calls += 1
    if (state.isAway) throw new Error('no connection')
    reserved.set(version, (reserved.get(version) ?? 0) + uses)
  }
  const open = () => countKekUses(reserve, createLogger('silent'))
  return { state, open, reservedOf: (version: number) => reserved.get(version) ?? 0 }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

test('no use is taken that was not counted before, however many there are', async () => {
  const { open, reservedOf } = openCounter()
  const uses = open()
  await uses.prepare('challenge', 1)
  for (let taken = 1; taken <= 3 * USES_AT_ONCE; taken++) {
    uses.take('challenge', 1)
    if (taken > reservedOf(1)) throw new Error(`${taken} taken, ${reservedOf(1)} counted`)
    if (taken % 100 === 0) await turn()
  }
  expect(reservedOf(1)).toBe(4 * USES_AT_ONCE)
})

test('a process that is gone leaves the count too high, never too low', async () => {
  const { open, reservedOf } = openCounter()
  for (const taken of [1, 100, 4_000]) {
    const uses = open()
    await uses.prepare('challenge', 1)
    for (let i = 0; i < taken; i++) uses.take('challenge', 1)
  }
  expect(reservedOf(1)).toBe(3 * USES_AT_ONCE)
})

test('nothing is taken without a reservation, and what fails is tried again with the next', async () => {
  const { state, open } = openCounter()
  const uses = open()
  state.isAway = true
  await uses.prepare('challenge', 1)
  expect(() => uses.take('challenge', 1)).toThrow(KekUsesError)
  await turn()
  state.isAway = false
  expect(() => uses.take('challenge', 1)).toThrow(KekUsesError)
  await turn()
  uses.take('challenge', 1)
  expect(state.calls).toBe(3)
})

test('what is reserved lasts while the database is away, and not a use longer', async () => {
  const { state, open } = openCounter()
  const uses = open()
  await uses.prepare('challenge', 1)
  state.isAway = true
  for (let i = 0; i < USES_AT_ONCE; i++) uses.take('challenge', 1)
  expect(() => uses.take('challenge', 1)).toThrow('No use of key-encryption key 1 of challenge is reserved.')
})

test('many at once reserve once', async () => {
  const { state, open } = openCounter()
  const uses = open()
  await Promise.all([1, 2, 3].map(() => uses.prepare('challenge', 1)))
  expect(state.calls).toBe(1)
  for (let i = 0; i < USES_AT_ONCE - 1; i++) uses.take('challenge', 1)
  await turn()
  expect(state.calls).toBe(2)
})

test('each version has uses of its own', async () => {
  const { open, reservedOf } = openCounter()
  const uses = open()
  await uses.prepare('challenge', 1)
  expect(() => uses.take('challenge', 2)).toThrow(KekUsesError)
  await uses.prepare('challenge', 2)
  uses.take('challenge', 2)
  expect([reservedOf(1), reservedOf(2)]).toEqual([USES_AT_ONCE, USES_AT_ONCE])
})
