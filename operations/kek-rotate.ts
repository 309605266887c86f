import { confirm, yesFlag } from '../client/command/confirm.ts'
import { printResult } from '../client/command/print.ts'
import type { Database } from '../database/open.ts'
import { insertEvents } from '../database/repositories/audit-outbox.ts'
import { markKeksDue } from '../database/repositories/keks.ts'
import { NIL_UUID } from '../protocol/log/audit-event.ts'
import { choosePrimitives } from '../protocol/primitives/choose.ts'
import { createEventWriter, type WriteEvent } from '../runtime/audit-events.ts'
import { type KeyringPurpose, keyringPurposes } from '../runtime/custody/keyring.ts'
import { sealPurposes } from '../runtime/custody/sealed-record.ts'
import { newId } from '../runtime/ids.ts'
import { catchSignals } from './catch-signals.ts'
import { configOf, dataDirectoryFlag, defineOperation, environmentNotes } from './define-operation.ts'
import { openLocalDatabase } from './local-database.ts'
import { requireOwnFolder } from './require-own-folder.ts'

export const kekRotate = defineOperation({
  name: 'kek rotate',
  summary: 'Asks for the next version of every key-encryption key, whatever its age.',
  flags: { ...yesFlag, ...dataDirectoryFlag },
  examples: ['qflare kek rotate', 'qflare kek rotate --yes --json'],
  notes: `The service makes them within minutes, or when it is started. What is sealed from then on is sealed under them; what was sealed before follows, and a day later, when nothing is under an old version any more, that is erased. The log tells of each step. Asked twice, it happens once.\n\n${environmentNotes}`,
  async run({ values }) {
    const { config } = configOf(values)
    await requireOwnFolder(config.dataDirectory)
    await confirm(values.yes, async () => 'Ask for the next version of every key-encryption key?')
    const crypto = await choosePrimitives(config.crypto)
    using interruption = catchSignals()
    await using local = await openLocalDatabase(config, 'current', (message) => console.error(message))
    interruption.signal.throwIfAborted()
    const { database } = local
    const now = Math.floor(await database.readClock())
    const asked = await askForSuccessors(database, createEventWriter(crypto), now)
    const named = asked.map(({ purpose, version }) => `${purpose} ${version}`).join(', ')
    const text = asked.length === 0 ? 'That was asked for already.' : `A successor is asked for of: ${named}.`
    await printResult(values.json, { asked }, text)
    return undefined
  },
})

async function askForSuccessors(
  database: Database,
  writeEvent: WriteEvent,
  now: number,
): Promise<{ purpose: KeyringPurpose; version: number }[]> {
  return database.withOrganization(NIL_UUID, async (tx) => {
    const asked = (await markKeksDue(tx, now)).flatMap(({ purpose: code, version }) =>
      keyringPurposes.filter((name) => sealPurposes[name] === code).map((purpose) => ({ purpose, version })),
    )
    const shared = { organizationId: NIL_UUID, actor: { type: 'service', id: NIL_UUID }, requestId: newId() } as const
    const events = asked.map((subject) =>
      writeEvent({ ...shared, type: 'kek.rotation_requested', subject, data: {} }, now),
    )
    await insertEvents(tx, events)
    return asked
  })
}
