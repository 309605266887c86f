import { expect, test } from 'vitest'
import {
  type Finding,
  tierOfValue,
  tierOfVector,
  toTrustworthinessVector,
  worstTier,
} from '../../../../protocol/attestation/appraisal.ts'

const found = (claim: Finding['claim'], value: number): Finding => ({ check: 'test.check', claim, value, detail: '' })

test.each([
  [[-1, 0, 1], 'none'],
  [[-32, -2, 2, 31], 'affirming'],
  [[-96, -33, 32, 95], 'warning'],
  [[-128, -97, 96, 99, 127], 'contraindicated'],
] as const)('%s are of the tier %s', (values, tier) => {
  for (const value of values) expect(tierOfValue(value), String(value)).toBe(tier)
})

test('the worst tier decides, and none at all is none', () => {
  expect(worstTier([])).toBe('none')
  expect(worstTier(['none', 'affirming'])).toBe('affirming')
  expect(worstTier(['affirming', 'contraindicated', 'warning'])).toBe('contraindicated')
  expect(worstTier(['warning', 'affirming'])).toBe('warning')
})

test('a vector has of each claim the worst that was found of it', () => {
  const vector = toTrustworthinessVector([
    found('hardware', 2),
    found('executables', 3),
    found('executables', 33),
    found('executables', 2),
    found('hardware', -97),
    found('hardware', 97),
  ])
  expect(vector).toEqual({ hardware: -97, executables: 33 })
  expect(tierOfVector(vector)).toBe('contraindicated')
  expect(tierOfVector({})).toBe('none')
})
