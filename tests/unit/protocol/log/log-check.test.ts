import { expect, test } from 'vitest'
import { tilesBottomUp } from '../../../../protocol/log/log-check.ts'
import { tilesOf } from '../../../../protocol/log/tiles.ts'

test.each([0, 1, 256, 257, 700, 65_536, 65_546, 131_072, 200_001])(
  'a check of %s entries reads every tile once, each above after those below it',
  (size) => {
    const places = [...tilesBottomUp(size)]
    const sorted = places.toSorted((a, b) => a.level - b.level || a.tile - b.tile)
    expect(sorted).toEqual([...tilesOf(size)])
    const seen = [0, 0, 0, 0]
    for (const { level, width } of places) {
      seen[level] = (seen[level] ?? 0) + width
      if (level > 0) expect(seen[level]).toBe(Math.floor((seen[level - 1] ?? 0) / 256))
    }
  },
)
