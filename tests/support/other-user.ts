import { statSync } from 'node:fs'
import { chmod, copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

/** A user that owns nothing. Only root can run something as another user. */
export const NOBODY = 65_534

const OTHERS_MAY_ENTER = 0o001

/** Whether other users can run what lies in this checkout: not where one of the folders above it is closed. */
export function isCheckoutOpenToOthers(): boolean {
  let folder = fileURLToPath(new URL('../..', import.meta.url))
  while ((statSync(folder).mode & OTHERS_MAY_ENTER) !== 0) {
    if (folder === dirname(folder)) return true
    folder = dirname(folder)
  }
  return false
}

/** A copy of this Node that every user may run, wherever the checkout lies; gone at the end of the test. */
export async function copyNodeForOthers(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'qflare-node-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  await chmod(folder, 0o755)
  const copy = join(folder, 'node')
  await copyFile(process.execPath, copy)
  await chmod(copy, 0o755)
  return copy
}
