import { resolve } from 'node:path'
import { confirm, yesFlag } from '../client/command/confirm.ts'
import { usageError } from '../client/command/exit-codes.ts'
import { printResult } from '../client/command/print.ts'
import type { Database } from '../database/open.ts'
import { insertEvents } from '../database/repositories/audit-outbox.ts'
import { replaceSealedSeed } from '../database/repositories/keks.ts'
import { NIL_UUID } from '../protocol/log/audit-event.ts'
import { choosePrimitives } from '../protocol/primitives/choose.ts'
import type { Primitives } from '../protocol/primitives.ts'
import { createEventWriter, type WriteEvent } from '../runtime/audit-events.ts'
import { sealOfflineRoot, signingKeyPlace } from '../runtime/custody/service-keys.ts'
import { newId } from '../runtime/ids.ts'
import { catchSignals } from './catch-signals.ts'
import { configOf, dataDirectoryFlag, defineOperation, environmentNotes } from './define-operation.ts'
import { openLocalDatabase } from './local-database.ts'
import { lockRootOfTrust } from './lock-root-of-trust.ts'
import { type Custody, openCustody } from './open-custody.ts'
import { OperationError } from './operation-error.ts'
import { requireOwnFolder } from './require-own-folder.ts'
import { writeRootFile } from './root-file.ts'

/** What erasing a row does not reach. */
const copiesLeft =
  'Backups that were made before still hold the root of trust, and so does the write-ahead log of PostgreSQL for a while: make a new backup, and destroy the old ones.'

export const rootTakeOffline = defineOperation({
  name: 'root take-offline',
  summary: 'Writes the root of trust, which signs trust bundles, to a file, and erases it from the database.',
  flags: {
    out: { type: 'string', value: 'FILE', help: 'a new file, for its owner alone' },
    ...yesFlag,
    ...dataDirectoryFlag,
  },
  examples: ['qflare root take-offline --out /media/stick/qflare-root'],
  notes: `Copy the file to a second place before you need it: without it no signing key can be replaced, and every device would have to enrol anew. From then on the service writes drafts of trust bundles, which wait for qflare root sign (docs/operations.md). ${copiesLeft}\n\n${environmentNotes}`,
  async run({ values }) {
    const { env, config } = configOf(values)
    if (values.out === undefined) throw usageError('--out FILE names the new file for the root of trust.')
    const path = resolve(values.out)
    await requireOwnFolder(config.dataDirectory)
    await confirm(values.yes, async () => `Write the root of trust to ${path}, and erase it from the database?`)
    const crypto = await choosePrimitives(config.crypto)
    using interruption = catchSignals()
    await using local = await openLocalDatabase(config, 'current', (message) => console.error(message))
    const { database } = local
    const custody = await openCustody({ database, crypto, env, config })
    interruption.signal.throwIfAborted()
    const writeEvent = createEventWriter(crypto)
    const now = Math.floor(await database.readClock())
    const kid = await takeRootOffline({ database, crypto, custody, writeEvent }, path, now)
    const text = `The root of trust ${kid} is in ${path}, and no longer in the database. ${copiesLeft}`
    await printResult(values.json, { kid, file: path }, text)
    return undefined
  },
})

/**
 * The file is whole, on the disk and read back before the seed is erased: whatever ends in between, the database has it still. Returns
 * the kid. Throws `root_offline`, `place_taken`, `file_unusable`.
 */
export function takeRootOffline(
  parts: { database: Database; crypto: Primitives; custody: Custody; writeEvent: WriteEvent },
  path: string,
  now: number,
): Promise<string> {
  const { crypto, custody } = parts
  const { keyring } = custody.serviceKeys
  return parts.database.withOrganization(NIL_UUID, async (tx) => {
    const { kid, alg, sealedSeed, signer } = await lockRootOfTrust(tx, crypto, custody)
    if (signer === undefined) throw new OperationError('root_offline', `The root of trust ${kid} is offline already.`)
    const seed = await keyring.open('signingKey', signingKeyPlace(kid), sealedSeed)
    await writeRootFile(crypto, path, { trustDomain: custody.trust.trustDomain, kid, alg, seed })
    seed.fill(0)
    if (!(await replaceSealedSeed(tx, { kid, sealedSeed }, sealOfflineRoot(keyring, { kid, alg })))) {
      throw new Error(`The root of trust ${kid} changed under the lock.`)
    }
    const shared = { organizationId: NIL_UUID, actor: { type: 'service', id: NIL_UUID }, requestId: newId() } as const
    await insertEvents(tx, [
      parts.writeEvent({ ...shared, type: 'root.taken_offline', subject: { kid }, data: {} }, now),
    ])
    return kid
  })
}
