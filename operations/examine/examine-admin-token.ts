import type { Database } from '../../database/open.ts'
import { findApiToken } from '../../database/repositories/api-tokens.ts'
import { isUuid } from '../../protocol/encoding.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { FileError, readSmallFile } from '../../runtime/read-small-file.ts'
import { adminTokenFile, MAX_SECRET_BYTES } from '../../runtime/secrets.ts'
import { errorText, type Finding, findingsOf } from './finding.ts'

const { ok, warning, problem, unseen } = findingsOf('admin token')
const RECOVER = 'qflare admin-token recover makes a new one.'

/** The file, and whether its token would be taken. `known` is undefined when the database cannot be asked. */
export async function examineAdminToken(
  dataDirectory: string,
  known: { database: Database; crypto: Primitives; now: number } | undefined,
): Promise<Finding[]> {
  const path = adminTokenFile(dataDirectory)
  let text: string
  try {
    const { content, permissions } = await readSmallFile(path, { maxBytes: MAX_SECRET_BYTES })
    if ((permissions & 0o077) !== 0) {
      return [
        problem(
          `others may read ${path} (mode ${permissions.toString(8)})`,
          `chmod 600 ${path}, and revoke the token if somebody did.`,
        ),
      ]
    }
    text = content.toString('utf8').trim()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [unseen(`there is no ${path}`, RECOVER)]
    if (error instanceof FileError) return [problem(error.message, RECOVER)]
    return [unseen(`${path} cannot be read (${errorText(error)})`, 'Run this as the user of the service, or as root.')]
  }
  const [id = '', secret] = text.replace(/^qf_/, '').split('.')
  if (!text.startsWith('qf_') || !isUuid(id) || secret === undefined) {
    return [problem(`${path} holds no API token`, RECOVER)]
  }
  if (known === undefined)
    return [unseen(`${path} is there; whether it works is not known`, 'Start the service first.')]
  return [await tokenFinding(path, { id, secret: `${id}.${secret}` }, known)]
}

async function tokenFinding(
  path: string,
  { id, secret }: { id: string; secret: string },
  { database, crypto, now }: { database: Database; crypto: Primitives; now: number },
): Promise<Finding> {
  const token = await findApiToken(database, id)
  const isGenuine =
    token !== undefined && crypto.equal(crypto.hash256(new TextEncoder().encode(secret)), token.secretHash)
  if (!isGenuine) return warning(`the token in ${path} is not of this database`, RECOVER)
  if (token.revokedAt !== undefined) return warning(`the token in ${path} is revoked`, RECOVER)
  if (token.expiresAt !== undefined && token.expiresAt <= now)
    return warning(`the token in ${path} has expired`, RECOVER)
  if (!token.roles.includes('admin')) return warning(`the token in ${path} is no admin's`, RECOVER)
  return ok(`the token in ${path} works`)
}
