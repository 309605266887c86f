import { confirm, yesFlag } from '../client/command/confirm.ts'
import { printResult } from '../client/command/print.ts'
import { insertEvents } from '../database/repositories/audit-outbox.ts'
import { lockKeyRotation } from '../database/repositories/signing-keys.ts'
import { NIL_UUID } from '../protocol/log/audit-event.ts'
import { choosePrimitives } from '../protocol/primitives/choose.ts'
import { createEventWriter } from '../runtime/audit-events.ts'
import { newId } from '../runtime/ids.ts'
import { bringTrustAhead, countBundlesSince } from './bring-trust-ahead.ts'
import { catchSignals } from './catch-signals.ts'
import { configOf, dataDirectoryFlag, defineOperation, environmentNotes } from './define-operation.ts'
import { openLocalDatabase } from './local-database.ts'
import { openCustody } from './open-custody.ts'
import { requireOwnFolder } from './require-own-folder.ts'
import { openRootFile, rootFileFlag } from './root-file.ts'

const DAY_MS = 86_400_000

export const trustAhead = defineOperation({
  name: 'trust ahead',
  summary: 'Gives the keys of a database that was taken back out again, for devices that are ahead of it.',
  flags: {
    days: {
      type: 'string',
      value: 'N',
      parse: (text: string) => (/^\d{1,4}$/.test(text) ? Number(text) : undefined),
      expects: 'a number of days',
      help: 'how old the database is that was brought back; default: 1',
    },
    ...rootFileFlag,
    ...yesFlag,
    ...dataDirectoryFlag,
  },
  examples: ['qflare trust ahead --days 3'],
  notes: `For a database at DATABASE_URL that was restored with its own tools: qflare restore does this by itself. A device that followed trust bundles which the database has forgotten waits for one beyond them. Once too often costs nothing but some bundles. Where the root of trust is offline, its file is needed: --root-file.\n\n${environmentNotes}`,
  async run({ values }) {
    const { env, config } = configOf(values)
    await requireOwnFolder(config.dataDirectory)
    const count = countBundlesSince(config.rotation, (values.days ?? 1) * DAY_MS)
    await confirm(values.yes, async () => `Give the keys of this database out in ${count} more trust bundles?`)
    const crypto = await choosePrimitives(config.crypto)
    using interruption = catchSignals()
    await using local = await openLocalDatabase(config, 'current', (message) => console.error(message))
    const { database } = local
    const rootFile = await openRootFile(crypto, values['root-file'])
    const { rootKey } = await openCustody({ database, crypto, env, config })
    interruption.signal.throwIfAborted()
    const now = Math.floor(await database.readClock())
    const trustSequence = await database.withOrganization(NIL_UUID, async (tx) => {
      await lockKeyRotation(tx)
      const sequence = await bringTrustAhead(tx, { crypto, rootKey, rootFile }, count, now)
      const actor = { type: 'service', id: NIL_UUID } as const
      const happening = {
        type: 'trust.brought_ahead',
        subject: {},
        data: { trustSequence: sequence, bundles: count },
      } as const
      const draft = { organizationId: NIL_UUID, actor, requestId: newId(), ...happening }
      await insertEvents(tx, [createEventWriter(crypto)(draft, now)])
      return sequence
    })
    await printResult(values.json, { trustSequence }, `The newest trust bundle is ${trustSequence}.`)
    return undefined
  },
})
