import { stripVTControlCharacters } from 'node:util'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { findNearest } from '../../../client/command/find-nearest.ts'
import { parseDuration, parsePointInTime } from '../../../client/command/parse-values.ts'
import { toTable } from '../../../client/command/print.ts'
import { withProgress } from '../../../client/command/progress.ts'

const id = '0199b0a4-7e1c-7000-8000-000000000001'
const screen = { isTTY: process.stdout.isTTY, columns: process.stdout.columns }

afterEach(() => {
  Object.assign(process.stdout, screen)
  vi.restoreAllMocks()
})

describe('a table', () => {
  const table = () => toTable(['ID', 'NAME', 'STATUS'], [[id, 'a-name-of-many-characters'.repeat(4), 'ACTIVE']])

  it('fits the screen: texts are cut, ids never', () => {
    Object.assign(process.stdout, { isTTY: true, columns: 80 })
    const lines = table().split('\n')
    for (const line of lines) expect(stripVTControlCharacters(line).length).toBeLessThanOrEqual(80)
    expect(lines[1]).toContain(id)
    expect(lines[1]).toContain('…')
    expect(lines[1]).toContain('ACTIVE')
  })

  it('is whole, and without escape sequences, where no screen is', () => {
    Object.assign(process.stdout, { isTTY: false, columns: undefined })
    expect(table()).toContain('a-name-of-many-characters'.repeat(4))
    expect(table()).not.toContain('\u001b')
  })

  it('has columns that stand under each other, in whatever script', () => {
    const names = ['edge', 'カメラ', '카메라', 'e\u0301dge', '🚀 7', '🇩🇪', '⚠️', 'ｶﾒﾗ', '𠮷']
    const lines = toTable(
      ['NAME', 'STATUS'],
      names.map((name) => [name, 'ACTIVE']),
    ).split('\n')
    const columns = [4, 6, 6, 4, 4, 2, 2, 3, 2]
    for (const [index, name] of names.entries()) {
      const spaces = ' '.repeat(6 - (columns[index] ?? 0) + 2)
      expect(lines[index + 1]).toBe(`${name}${spaces}ACTIVE`)
    }
  })

  it('is cut between characters', () => {
    Object.assign(process.stdout, { isTTY: true, columns: 36 + 2 + 8 })
    const row = (name: string) => stripVTControlCharacters(toTable(['ID', 'NAME'], [[id, name]]).split('\n')[1] ?? '')
    expect(row('カメラカメラ')).toBe(`${id}  カメラ…`)
    expect(row('e\u0301🚀𠮷🚀🚀')).toBe(`${id}  e\u0301🚀𠮷🚀…`)
  })

  it('keeps a screen that is far too narrow, with ids', () => {
    Object.assign(process.stdout, { isTTY: true, columns: 20 })
    expect(table()).toContain(id)
  })
})

describe('progress', () => {
  it('writes nothing where stderr is no terminal', async () => {
    const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
    expect(await withProgress(async (report) => report('half'))).toBeUndefined()
    expect(write).not.toHaveBeenCalled()
  })

  it('shows itself only when work takes long, and leaves no trace', async () => {
    vi.useFakeTimers()
    const written: string[] = []
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => written.push(String(text)) > 0)
    const isTTY = process.stderr.isTTY
    process.stderr.isTTY = true
    try {
      await withProgress(async () => undefined)
      expect(written).toEqual([])
      await withProgress(async (report) => {
        report('1 of 2 tokens')
        await vi.advanceTimersByTimeAsync(1500)
      })
      expect(written.join('')).toContain('1 of 2 tokens')
      expect(written.at(-1)).toBe('\r\u001b[K')
    } finally {
      process.stderr.isTTY = isTTY
      vi.useRealTimers()
    }
  })
})

describe('times', () => {
  it.each([
    ['3600', 3600],
    ['90m', 5400],
    ['12h', 43_200],
    ['30D', 2_592_000],
    ['45s', 45],
  ])('%s is %i seconds', (text, seconds) => {
    expect(parseDuration(text)).toBe(seconds)
  })

  it.each(['', '0', '0m', '-1', '1.5h', '1w', 'h', '1 h', '1e3', '10000000000'])('%j is none', (text) => {
    expect(parseDuration(text)).toBeUndefined()
  })

  it('are points, or so long ago', () => {
    expect(parsePointInTime('2026-11-22')).toBe(Date.UTC(2026, 10, 22))
    expect(parsePointInTime('2026-11-22T06:40:00+01:00')).toBe(Date.UTC(2026, 10, 22, 5, 40))
    vi.useFakeTimers({ now: 1_000_000_000_000 })
    expect(parsePointInTime('1h')).toBe(1_000_000_000_000 - 3_600_000)
    vi.useRealTimers()
    for (const text of ['yesterday', '2026-13-01', '22.11.2026', '3600', '']) {
      expect(parsePointInTime(text)).toBeUndefined()
    }
  })
})

describe('the nearest word', () => {
  it.each([
    ['stauts', 'status'],
    ['STATUS', 'status'],
    ['sttus', 'status'],
    ['exchang', 'exchange'],
  ])('of %s is %s', (typed, meant) => {
    expect(findNearest(typed, ['exchange', 'status', 'key'])).toBe(meant)
  })

  it('is none when nothing is near', () => {
    expect(findNearest('fly', ['exchange', 'status', 'key'])).toBeUndefined()
    expect(findNearest('', ['exchange', 'status'])).toBeUndefined()
  })
})
