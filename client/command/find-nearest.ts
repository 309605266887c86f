/** Of `known` the word that `typed` was probably meant to be; undefined when none is near. */
export function findNearest(typed: string, known: readonly string[]): string | undefined {
  const limit = Math.max(1, Math.floor(typed.length / 3))
  const near = known
    .map((word) => ({ word, distance: distanceOf(typed.toLowerCase(), word.toLowerCase()) }))
    .filter(({ distance }) => distance <= limit)
  return near.toSorted((a, b) => a.distance - b.distance)[0]?.word
}

/** Single characters to insert, delete, replace, or swap with their neighbour (optimal string alignment). */
function distanceOf(a: string, b: string): number {
  const at = (row: number[] | undefined, index: number) => row?.[index] ?? 0
  let before: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = at(previous, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1)
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      const best = Math.min(replaced, at(previous, j) + 1, at(row, j - 1) + 1)
      row.push(swapped ? Math.min(best, at(before, j - 2) + 1) : best)
    }
    before = previous
    previous = row
  }
  return at(previous, b.length)
}
