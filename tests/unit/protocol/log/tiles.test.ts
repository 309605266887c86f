import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseTilePath, placeOf, tilePath, tilesOf, tileWidth } from '../../../../protocol/log/tiles.ts'

describe('the path of a tile', () => {
  it.each([
    [{ level: 0, tile: 0 }, 256, '0/000'],
    [{ level: 0, tile: 999 }, 256, '0/999'],
    [{ level: 0, tile: 1_000 }, 256, '0/x001/000'],
    [{ level: 0, tile: 1_234_067 }, 256, '0/x001/x234/067'],
    [{ level: 1, tile: 1_234_067 }, 1, '1/x001/x234/067.p/1'],
    [{ level: 2, tile: 0 }, 255, '2/000.p/255'],
    [{ level: 0, tile: 2 ** 45 - 1 }, 256, '0/x035/x184/x372/x088/831'],
    [{ level: 63, tile: 1_000_000 }, 17, '63/x001/x000/000.p/17'],
  ])('%j of width %i is that of C2SP tlog-tiles: %s', (place, width, path) => {
    expect(tilePath(place, width)).toBe(path)
    expect(parseTilePath(path)).toEqual({ ...place, width })
  })

  it('is read as it was written, for every tile that a tree can have', () => {
    const tile = fc.oneof(fc.nat(2_000), fc.bigInt({ min: 0n, max: 10n ** 15n - 1n }).map(Number))
    fc.assert(
      fc.property(fc.nat(63), tile, fc.integer({ min: 1, max: 256 }), (level, place, width) => {
        expect(parseTilePath(tilePath({ level, tile: place }, width))).toEqual({ level, tile: place, width })
      }),
    )
  })

  it.each([
    '',
    '0',
    '0/',
    '/000',
    '0/0',
    '0/00',
    '0/0000',
    '0/1000',
    '00/000',
    '01/000',
    '64/000',
    '100/000',
    '-1/000',
    '0/-01',
    '0/+01',
    '0/x000/000',
    '0/x001',
    '0/x001/',
    '0/001/234',
    '0/x001/x234',
    '0/X001/234',
    '0/x1/234',
    '0/x001/x001/x001/x001/x001/001',
    '0/000.p/0',
    '0/000.p/00',
    '0/000.p/01',
    '0/000.p/256',
    '0/000.p/257',
    '0/000.p/300',
    '0/000.p/999',
    '0/000.p/1000',
    '0/000.p/',
    '0/000.p',
    '0/000p/1',
    '0/000.p/1.5',
    '0/000.p/-1',
    '0/000/',
    '0/000\n',
    ' 0/000',
    '0/000?x',
    '0/000/../001',
    'entries/000',
    '0/\u0660\u0660\u0660',
    '\u0661/000',
    '0/000.p/\u0661',
  ])('is not %j', (path) => {
    expect(parseTilePath(path)).toBeUndefined()
  })

  it('has one way to be written: whatever is read is written again as it was', () => {
    const unit = fc.constantFrom(...'0123456789'.split(''), '/', 'x', '.p/', '/0', '/x')
    fc.assert(
      fc.property(fc.string({ unit, minLength: 3, maxLength: 14 }), (path) => {
        const place = parseTilePath(path)
        if (place !== undefined) expect(tilePath(place, place.width)).toBe(path)
      }),
      { numRuns: 3_000 },
    )
  })
})

describe('the tiles of a tree', () => {
  const count = (size: number) => {
    const byLevel = new Map<number, number[]>()
    for (const { level, width } of tilesOf(size)) byLevel.set(level, [...(byLevel.get(level) ?? []), width])
    return [...byLevel].map(([level, widths]) => ({
      level,
      full: widths.filter((width) => width === 256).length,
      partial: widths.filter((width) => width < 256),
    }))
  }

  it('of 70,000 and of 256 are those that C2SP tlog-tiles names', () => {
    expect(count(70_000)).toEqual([
      { level: 0, full: 273, partial: [112] },
      { level: 1, full: 1, partial: [17] },
      { level: 2, full: 0, partial: [1] },
    ])
    expect(count(256)).toEqual([
      { level: 0, full: 1, partial: [] },
      { level: 1, full: 0, partial: [1] },
    ])
    expect(count(0)).toEqual([])
    expect(count(1)).toEqual([{ level: 0, full: 0, partial: [1] }])
    expect(count(65_536).map(({ full }) => full)).toEqual([256, 1, 0])
  })

  it('are as wide as the formula of C2SP says, at any size below 2^53', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 53n - 1n }), fc.nat(7), (size, level) => {
        const hashes = size / 256n ** BigInt(level)
        const last = Number(hashes / 256n)
        expect(tileWidth({ level, tile: last }, Number(size))).toBe(Number(hashes % 256n))
        expect(tileWidth({ level, tile: last + 1 }, Number(size))).toBe(0)
        if (last > 0) expect(tileWidth({ level, tile: last - 1 }, Number(size))).toBe(256)
      }),
    )
  })

  it('hold each perfect subtree as hashes side by side: where it begins, over as many leaves as it has', () => {
    const heightAndIndex = fc
      .integer({ min: 0, max: 52 })
      .chain((height) => fc.tuple(fc.constant(height), fc.bigInt({ min: 0n, max: 2n ** BigInt(53 - height) - 1n })))
    fc.assert(
      fc.property(heightAndIndex, ([height, index]) => {
        const { level, tile, from, count } = placeOf({ height, index: Number(index) })
        const leavesOfHash = 256n ** BigInt(level)
        expect((BigInt(tile) * 256n + BigInt(from)) * leavesOfHash).toBe(index * 2n ** BigInt(height))
        expect(BigInt(count) * leavesOfHash).toBe(2n ** BigInt(height))
        expect(from + count).toBeLessThanOrEqual(256)
      }),
    )
  })
})
