import { configVariables } from './config.ts'

/** Read by the command `qflare`, the secrets, the tests or the bench, and so no mistake beside a service. */
export const otherVariables = [
  'QFLARE_ADMIN_TOKEN_FILE',
  'QFLARE_ENROLLMENT_TOKEN',
  'QFLARE_ROOT_KEY',
  'QFLARE_STATE',
  'QFLARE_TEST_ANSWERS_FILE',
  'QFLARE_TSM_REPORTS',
  'QFLARE_URL',
  'QFLARE_VECTORS',
] as const

/** One sentence for each QFLARE_ variable that nothing reads: a setting with a typo must not seem to be in force. */
export function findUnknownVariables(
  env: Record<string, string | undefined>,
  findNearest: (name: string, known: readonly string[]) => string | undefined,
): string[] {
  const known = [...configVariables, ...otherVariables]
  return Object.keys(env)
    .filter((name) => name.startsWith('QFLARE_') && !known.includes(name))
    .toSorted()
    .map((name) => {
      const nearest = findNearest(name, known)
      return `${name} is not known and has no effect${nearest === undefined ? '' : `; is ${nearest} meant?`}`
    })
}
