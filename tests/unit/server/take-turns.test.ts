import { EventEmitter } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import type { Request, Response } from 'express'
import { expect, test } from 'vitest'
import { createTakeTurns, PER_TURN } from '../../../server/take-turns.ts'

/** So many requests that come at once; those that had their turn, in its order, and how to go away before it. */
function ask(count: number) {
  const takeTurn = createTakeTurns()
  const served: number[] = []
  const responses = Array.from({ length: count }, () => new EventEmitter())
  for (const [index, res] of responses.entries()) {
    takeTurn({} as Request, res as unknown as Response, () => void served.push(index))
  }
  return { takeTurn, served, leave: (index: number) => responses[index]?.emit('close') }
}

test('who asks where nobody waits does not wait', () => {
  expect(ask(PER_TURN).served).toHaveLength(PER_TURN)
})

test('of more than a turn has room for each has one, in the order in which they came', async () => {
  const { served } = ask(PER_TURN * 3 + 1)
  for (let turns = 1; turns <= 4; turns++) {
    expect(served).toHaveLength(Math.min(PER_TURN * turns, PER_TURN * 3 + 1))
    await turn()
  }
  expect(served).toEqual(Array.from({ length: PER_TURN * 3 + 1 }, (_, index) => index))
})

test('who comes later does not go first', async () => {
  const { takeTurn, served } = ask(PER_TURN * 2)
  await turn()
  takeTurn({} as Request, new EventEmitter() as unknown as Response, () => void served.push(-1))
  await turn()
  await turn()
  expect(served.at(-1)).toBe(-1)
  expect(served).toHaveLength(PER_TURN * 2 + 1)
})

test('who goes away while he waits takes no turn', async () => {
  const { served, leave } = ask(PER_TURN * 2)
  for (let index = PER_TURN; index < PER_TURN * 2 - 1; index++) leave(index)
  await turn()
  expect(served).toEqual([...Array.from({ length: PER_TURN }, (_, index) => index), PER_TURN * 2 - 1])
})
