const pattern = /^\d{1,9}(\.\d{1,9}){0,7}$/

/** Numbers with dots between them. */
export function isVersion(text: string): boolean {
  return pattern.test(text)
}

/**
 * Part by part, as numbers; parts that lack are zero. What follows a `+` does not count (semver's build metadata, which MCUboot writes).
 * A version of any other form is not known to be at least anything.
 */
export function isVersionAtLeast(version: string, minimum: string): boolean {
  const [plain = ''] = version.split('+', 1)
  if (!isVersion(plain)) return false
  const [mine, least] = [plain, minimum].map((text) => text.split('.').map(Number)) as [number[], number[]]
  const different = [...Array(8).keys()].find((index) => (mine[index] ?? 0) !== (least[index] ?? 0))
  return different === undefined || (mine[different] ?? 0) > (least[different] ?? 0)
}
