import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Evidence that others captured and published is not copied into this repository: a folder with `public/` and `tpm/`, named by
 * QFLARE_FIXTURES, is used as it is.
 */
export const fixtures = process.env.QFLARE_FIXTURES

/** Whether the folder has such files: not every collection has every kind. */
export function hasFixtures(folder: string): boolean {
  return fixtures !== undefined && existsSync(join(fixtures, folder))
}

export function readFixture(path: string): Buffer {
  if (fixtures === undefined) throw new Error('QFLARE_FIXTURES names no folder.')
  return readFileSync(join(fixtures, path))
}

/** The contents of all PEM blocks with that label, in order, whatever stands around them. */
export function readPemFixture(path: string, label: string): Buffer[] {
  const blocks = new RegExp(`-----BEGIN ${label}-----([^-]+)-----END ${label}-----`, 'g')
  return [...readFixture(path).toString('latin1').matchAll(blocks)].map(([, text]) =>
    Buffer.from(text as string, 'base64'),
  )
}
