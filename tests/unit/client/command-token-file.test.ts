import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  chmodSync,
  existsSync,
  linkSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { lockFile } from '../../../client/command/file-lock.ts'
import { type MadeToken, openTokenFile } from '../../../client/command/token-file.ts'
import type { TokenOrder } from '../../../client/command/token-orders.ts'

const orders: TokenOrder[] = ['a', 'b', 'c'].map((name) => ({ kind: 'device', name }))
const made: MadeToken[] = orders.map((order, index) => ({
  ...order,
  id: `${index}`,
  token: `secret-${index}`,
  expiresAt: 0,
}))

let folder: string
let path: string
let partial: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'qflare-token-file-'))
  path = join(folder, 'tokens.jsonl')
  partial = `${path}.partial`
})
afterEach(() => rmSync(folder, { recursive: true }))

const names = () =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as MadeToken).name)

describe('a file of tokens', () => {
  it('is made by one run at a time, the rest of it by the next', async () => {
    {
      await using first = await openTokenFile(path, orders, false)
      await first.append(made.slice(0, 1))
      for (const isContinued of [true, false]) {
        await expect(openTokenFile(path, orders, isContinued)).rejects.toThrow('Another process makes')
      }
      await first.append(made.slice(1, 2))
    }
    await expect(openTokenFile(path, orders, false)).rejects.toThrow('--continue goes on with it')
    await using second = await openTokenFile(path, orders, true)
    expect(second.made).toBe(2)
    await second.append(made.slice(2))
    await second.finish('jsonl')
    expect(names()).toEqual(['a', 'b', 'c'])
    for (const left of ['partial', 'lock', 'complete']) expect(existsSync(`${path}.${left}`)).toBe(false)
  })

  it('goes on after the process that made it was killed, for exactly one of those that try', async () => {
    const before = await openTokenFile(path, orders, false)
    await before[Symbol.asyncDispose]()
    const program = `import { openTokenFile } from ${JSON.stringify(join(import.meta.dirname, '../../../client/command/token-file.ts'))}
      const file = await openTokenFile(${JSON.stringify(path)}, ${JSON.stringify(orders)}, true)
      await file.append(${JSON.stringify(made.slice(0, 2))})
      console.log('held')
      setInterval(() => file, 1000)`
    const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', program])
    onTestFinished(() => void child.kill('SIGKILL'))
    await once(child.stdout, 'data')
    await expect(openTokenFile(path, orders, true)).rejects.toThrow('Another process makes')
    child.kill('SIGKILL')
    await once(child, 'close')
    const tries = await Promise.allSettled(Array.from({ length: 8 }, () => openTokenFile(path, orders, true)))
    const won = tries.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    expect(won.map(({ made: count }) => count)).toEqual([2])
    for (const file of won) await file[Symbol.asyncDispose]()
  })

  it('is not written over what came to be there in between, and loses nothing then', async () => {
    await using file = await openTokenFile(path, orders, false)
    await file.append(made)
    writeFileSync(path, 'precious')
    await expect(file.finish('csv')).rejects.toThrow('it exists already')
    expect(readFileSync(path, 'utf8')).toBe('precious')
    expect(readFileSync(partial, 'utf8').match(/secret-/g)).toHaveLength(3)
    expect(existsSync(`${path}.complete`)).toBe(false)
  })

  it('holds what was made, also when somebody puts another partial file in the place of ours', async () => {
    await using file = await openTokenFile(path, orders, false)
    await file.append(made.slice(0, 2))
    renameSync(partial, join(folder, 'moved'))
    await file.append(made.slice(2))
    await file.finish('jsonl')
    expect(names()).toEqual(['a', 'b', 'c'])
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  it.each([
    ['more tokens than were asked for', () => appendFileSync(partial, '{"name":"d"}\n')],
    [
      'fewer',
      () => writeFileSync(partial, readFileSync(partial, 'utf8').split('\n').slice(0, 2).join('\n').concat('\n')),
    ],
    ['another head', () => writeFileSync(partial, `{}\n${'{}\n'.repeat(3)}`)],
  ])('is never called complete with %s', async (_what, tamper) => {
    await using file = await openTokenFile(path, orders, false)
    await file.append(made)
    tamper()
    await expect(file.finish('jsonl')).rejects.toThrow('should have 3')
    expect(existsSync(path)).toBe(false)
    expect(existsSync(partial)).toBe(true)
  })

  it.each([
    ['nothing', 0],
    ['half of its first line', 20],
  ])('begins anew where a run was killed that had written %s', async (_what, length) => {
    for (const isContinued of [true, false]) {
      const before = await openTokenFile(path, orders, false)
      await before[Symbol.asyncDispose]()
      writeFileSync(partial, readFileSync(partial).subarray(0, length))
      await using file = await openTokenFile(path, orders, isContinued)
      expect(file.made).toBe(0)
      await file.append(made)
      await file.finish('csv')
      expect(readFileSync(path, 'utf8').trimEnd().split('\n')).toHaveLength(4)
      rmSync(path)
    }
  })
})

describe('a file of tokens is not made where something else has a name of its own:', () => {
  it.each([
    [
      'a link to an empty file',
      () => (writeFileSync(join(folder, 'mine'), ''), symlinkSync(join(folder, 'mine'), partial)),
    ],
    ['a file that others can read', () => (writeFileSync(partial, ''), chmodSync(partial, 0o644))],
    [
      'a file with a second name',
      () => (writeFileSync(partial, '', { mode: 0o600 }), linkSync(partial, join(folder, 'mine'))),
    ],
    ['a FIFO', () => execFileSync('mkfifo', ['-m', '600', partial])],
  ])('%s for the partial one', async (_what, make) => {
    make()
    for (const isContinued of [false, true]) {
      await expect(openTokenFile(path, orders, isContinued)).rejects.toMatchObject({ exitCode: 4 })
    }
    if (existsSync(join(folder, 'mine'))) expect(readFileSync(join(folder, 'mine'), 'utf8')).toBe('')
  })

  it('a file for the complete one, which is kept, as are the tokens', async () => {
    await using file = await openTokenFile(path, orders, false)
    await file.append(made)
    writeFileSync(`${path}.complete`, 'mine')
    await expect(file.finish('jsonl')).rejects.toThrow('.complete: it exists already')
    expect(readFileSync(`${path}.complete`, 'utf8')).toBe('mine')
    rmSync(`${path}.complete`)
    await file.finish('jsonl')
    expect(names()).toEqual(['a', 'b', 'c'])
  })

  it('a link, or a file with something in it, for the lock', async () => {
    writeFileSync(join(folder, 'mine'), '')
    symlinkSync(join(folder, 'mine'), `${path}.lock`)
    await expect(openTokenFile(path, orders, false)).rejects.toThrow('no lock')
    rmSync(`${path}.lock`)
    writeFileSync(`${path}.lock`, 'mine')
    await expect(openTokenFile(path, orders, false)).rejects.toThrow('no lock')
    expect(readFileSync(`${path}.lock`, 'utf8')).toBe('mine')
  })
})

describe('a lock', () => {
  it('is held by one, and free when that one releases it', async () => {
    const file = join(folder, 'lock')
    const lock = await lockFile(file)
    expect(await lockFile(file)).toBeUndefined()
    lock?.release()
    const again = await lockFile(file)
    expect(again).toBeDefined()
    again?.release()
    expect(statSync(file)).toMatchObject({ size: 0, mode: 0o100600 })
  })
})
