import { writeFile } from 'node:fs/promises'
import { cannotWrite } from './secret-file.ts'

/** A file that was not there before. Exit code 4. */
export async function writeNewFile(path: string, content: string, mode = 0o666): Promise<void> {
  await writeFile(path, content, { mode, flag: 'wx', flush: true }).catch((error: NodeJS.ErrnoException) => {
    throw cannotWrite(path, error)
  })
}
