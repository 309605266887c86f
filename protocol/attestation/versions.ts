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
  const [plain = ''] = version.split('+')
  if (!isVersion(plain)) return false
  const mine = plain.split('.').map(Number)
  for (const [index, least] of minimum.split('.').map(Number).entries()) {
    const part = mine[index] ?? 0
    if (part > least) return true
    if (part < least) return false
  }
  return true
}
