import { stat } from 'node:fs/promises'
import { OperationError } from './operation-error.ts'

/**
 * Who owns the data folder decides what the names in it mean: root that writes there in another user's name can be led to files
 * that are not his. So nobody works in another's folder. A folder that is not there yet is nobody's. Throws `not_owner`.
 */
export async function requireOwnFolder(dataDirectory: string): Promise<void> {
  const uid = (await findFacts(dataDirectory))?.uid
  if (uid === undefined || uid === process.getuid?.()) return
  throw new OperationError(
    'not_owner',
    `${dataDirectory} belongs to user id ${uid}: run this as that user, who is the service's (sudo -u '#${uid}' …).`,
  )
}

async function findFacts(folder: string) {
  try {
    return await stat(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
