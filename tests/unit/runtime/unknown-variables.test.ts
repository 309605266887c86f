import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { findNearest } from '../../../client/command/find-nearest.ts'
import { configVariables } from '../../../runtime/config.ts'
import { findUnknownVariables, otherVariables } from '../../../runtime/unknown-variables.ts'
import { listFiles, root } from '../../architecture/repository.ts'

const find = (env: Record<string, string>) => findUnknownVariables(env, findNearest)

test('a variable with a typo is told, with the one that is meant', () => {
  expect(find({ QFLARE_TRUST_DOMIAN: 'fleet.example', QFLARE_LIMIT_ADRESS: '1' })).toEqual([
    'QFLARE_LIMIT_ADRESS is not known and has no effect; is QFLARE_LIMIT_ADDRESS meant?',
    'QFLARE_TRUST_DOMIAN is not known and has no effect; is QFLARE_TRUST_DOMAIN meant?',
  ])
})

test('a variable that is like none is told without a guess, also when it is empty', () => {
  expect(find({ QFLARE_X: '' })).toEqual(['QFLARE_X is not known and has no effect'])
})

test('variables that are known, and those of other programs, are not told', () => {
  const known = Object.fromEntries([...configVariables, ...otherVariables].map((name) => [name, 'x']))
  expect(find({ ...known, PATH: '/bin', QFLARES: '1', REDIS_URL: 'redis://x' })).toEqual([])
})

test('every variable that the command, the operations or the bench read is known', () => {
  const files = listFiles().filter((path) => /^(client|operations|bench|scripts|runtime)\/.*\.[jt]s$/.test(path))
  const named = files.flatMap((path) => readFileSync(`${root}/${path}`, 'utf8').match(/\bQFLARE_[A-Z_]+[A-Z]\b/g) ?? [])
  const known = new Set<string>([...configVariables, ...otherVariables])
  expect(named.length).toBeGreaterThan(0)
  expect([...new Set(named)].filter((name) => !known.has(name))).toEqual([])
})
