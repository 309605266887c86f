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
import { signingKeyPlace } from '../runtime/custody/service-keys.ts'
import { newId } from '../runtime/ids.ts'
import { catchSignals } from './catch-signals.ts'
import { configOf, dataDirectoryFlag, defineOperation, environmentNotes } from './define-operation.ts'
import { openLocalDatabase } from './local-database.ts'
import { lockRootOfTrust } from './lock-root-of-trust.ts'
import { type Custody, openCustody } from './open-custody.ts'
import { requireOwnFolder } from './require-own-folder.ts'
import { type RootInFile, readRootFile, wrongRootFile } from './root-file.ts'

export const rootBringOnline = defineOperation({
  name: 'root bring-online',
  summary: 'Gives the root of trust back to the service, which signs trust bundles by itself again.',
  flags: {
    key: { type: 'string', value: 'FILE', help: 'as qflare root take-offline wrote it' },
    ...yesFlag,
    ...dataDirectoryFlag,
  },
  examples: ['qflare root bring-online --key /media/stick/qflare-root'],
  notes: `A trust bundle that waits is signed within minutes. The file stays as it is.\n\n${environmentNotes}`,
  async run({ values }) {
    const { env, config } = configOf(values)
    if (values.key === undefined) throw usageError('--key FILE names the file with the root of trust.')
    const path = resolve(values.key)
    await requireOwnFolder(config.dataDirectory)
    await confirm(values.yes, async () => `Put the root of trust of ${path} into the database, sealed?`)
    const crypto = await choosePrimitives(config.crypto)
    const key = await readRootFile(crypto, path)
    using interruption = catchSignals()
    await using local = await openLocalDatabase(config, 'current', (message) => console.error(message))
    const { database } = local
    const custody = await openCustody({ database, crypto, env, config })
    interruption.signal.throwIfAborted()
    const now = Math.floor(await database.readClock())
    const writeEvent = createEventWriter(crypto)
    const isChanged = await bringRootOnline({ database, crypto, custody, writeEvent }, key, now)
    key.seed.fill(0)
    const kid = key.signer.keyId
    const text = isChanged
      ? `The service has the root of trust ${kid} again.`
      : `The service has the root of trust ${kid} already.`
    await printResult(values.json, { kid, changed: isChanged }, text)
    return undefined
  },
})

/** False when it is there already. Throws `root_file_wrong` for the root of trust of another service. */
export function bringRootOnline(
  parts: { database: Database; crypto: Primitives; custody: Custody; writeEvent: WriteEvent },
  key: Pick<RootInFile, 'seed' | 'signer'>,
  now: number,
): Promise<boolean> {
  const { crypto, custody } = parts
  return parts.database.withOrganization(NIL_UUID, async (tx) => {
    const { kid, sealedSeed, signer } = await lockRootOfTrust(tx, crypto, custody)
    if (key.signer.keyId !== kid) throw wrongRootFile(key.signer.keyId, kid)
    if (signer !== undefined) return false
    const sealed = custody.serviceKeys.keyring.seal('signingKey', signingKeyPlace(kid), key.seed)
    if (!(await replaceSealedSeed(tx, { kid, sealedSeed }, sealed))) {
      throw new Error(`The root of trust ${kid} changed under the lock.`)
    }
    const shared = { organizationId: NIL_UUID, actor: { type: 'service', id: NIL_UUID }, requestId: newId() } as const
    await insertEvents(tx, [
      parts.writeEvent({ ...shared, type: 'root.brought_online', subject: { kid }, data: {} }, now),
    ])
    return true
  })
}
