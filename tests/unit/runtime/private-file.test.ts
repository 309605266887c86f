import { expect, test } from 'vitest'
import { privacyProblem } from '../../../runtime/private-file.ts'

const SERVICE = 1000
const OTHER = 1001

function isPrivate(permissions: number, ownerId: number, userId: number): boolean {
  return privacyProblem({ permissions, ownerId }, userId) === undefined
}

test('a file of a user’s own with a secret is for that user alone', () => {
  for (const mode of [0o600, 0o400, 0o700]) expect(isPrivate(mode, SERVICE, SERVICE), mode.toString(8)).toBe(true)
  for (const mode of [0o640, 0o440, 0o620, 0o610, 0o604, 0o602, 0o601, 0o666]) {
    expect(isPrivate(mode, SERVICE, SERVICE), mode.toString(8)).toBe(false)
    expect(isPrivate(mode, OTHER, SERVICE), mode.toString(8)).toBe(false)
    expect(isPrivate(mode, 0, 0), mode.toString(8)).toBe(false)
  }
})

test('a file of root’s may be readable by its group, as a mounted secret is, and by nobody else', () => {
  for (const mode of [0o400, 0o440, 0o600, 0o640]) expect(isPrivate(mode, 0, SERVICE), mode.toString(8)).toBe(true)
  for (const mode of [0o660, 0o650, 0o444, 0o644, 0o641, 0o642]) {
    expect(isPrivate(mode, 0, SERVICE), mode.toString(8)).toBe(false)
  }
})

test('what is wrong is said with the mode and what to do', () => {
  expect(privacyProblem({ permissions: 0o644, ownerId: SERVICE }, SERVICE)).toBe(
    'other users may read it (mode 644); run chmod 600 on it.',
  )
})
