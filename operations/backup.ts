import { realpath } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import { usageError } from '../client/command/exit-codes.ts'
import { printResult, toList } from '../client/command/print.ts'
import { withProgress } from '../client/command/progress.ts'
import { inspectEmbedded } from '../database/inspect-embedded.ts'
import { choosePrimitives } from '../protocol/primitives/choose.ts'
import { readCheckpointFile } from '../runtime/checkpoint-file.ts'
import type { Config } from '../runtime/config.ts'
import { readVersion } from '../runtime/release.ts'
import { catchSignals } from './catch-signals.ts'
import { createBackup } from './create-backup.ts'
import { configOf, dataDirectoryFlag, defineOperation, environmentNotes } from './define-operation.ts'
import { formatBytes } from './format-bytes.ts'
import { noDatabase, openLocalDatabase } from './local-database.ts'
import { openCustody } from './open-custody.ts'
import { OperationError } from './operation-error.ts'
import { requireOwnFolder } from './require-own-folder.ts'

export const backup = defineOperation({
  name: 'backup',
  summary: 'Backs up the embedded database to a new folder, while the service runs or not.',
  flags: {
    out: { type: 'string', value: 'FOLDER', help: 'the backup: a new folder of mode 0700' },
    check: { type: 'boolean', help: 'only see that the root key opens this database, and with DATABASE_URL too' },
    'with-root-key': { type: 'boolean', help: 'put the root key into the backup: whoever has that has everything' },
    ...dataDirectoryFlag,
  },
  examples: ['qflare backup --out /mnt/backup/qflare-2026-11-22', 'qflare backup --check'],
  notes: `The root key is not in a backup unless you say so: kept apart, a thief needs both. Temporal keys are in none: they have to die on time. A restore ends all sessions, and devices exchange again by themselves.\n\n${environmentNotes}`,
  async run({ values }) {
    const { env, config } = configOf(values)
    await requireOwnFolder(config.dataDirectory)
    if ((values.out === undefined) === (values.check !== true)) throw usageError('Either --out FOLDER or --check.')
    const folder = values.out === undefined ? undefined : await placeOf(values.out, config)
    const crypto = await choosePrimitives(config.crypto)
    using interruption = catchSignals()
    await using local = await openLocalDatabase(config, 'any', (message) => console.error(message))
    interruption.signal.throwIfAborted()
    const { database, superuser } = local
    const custody = await openCustody({ database, crypto, env, config })
    const { trustDomain, sequence } = custody.trust
    const { rootKid } = custody.serviceKeys
    if (folder === undefined || superuser === undefined) {
      const shown = { belongTogether: true, rootKid, trustDomain, trustSequence: sequence }
      await printResult(
        values.json,
        shown,
        `Root key and database belong together: root of trust ${rootKid}, ${trustDomain}.`,
      )
      return undefined
    }
    const checkpoint = await readCheckpointFile(config.audit.checkpointFile)
    const manifest = await withProgress((report) =>
      createBackup({
        superuser,
        custody,
        folder,
        withRootKey: values['with-root-key'] === true,
        qflareVersion: readVersion(),
        checkpoint,
        now: database.readClock,
        signal: interruption.signal,
        onProgress: (done, expected) => report(`${formatBytes(done)} of about ${formatBytes(expected)}`),
      }),
    )
    const { keks: _keks, signingKeys: _signingKeys, mac: _mac, ...shown } = manifest
    await printResult(values.json, { folder, ...shown }, describe(folder, manifest, values['with-root-key'] === true))
    return undefined
  },
})

/** Throws `not_embedded`, and `place_taken` for a place that would be lost with what it is the backup of. */
async function placeOf(out: string, config: Config): Promise<string> {
  if (config.database !== undefined) {
    throw new OperationError(
      'not_embedded',
      'The database is at DATABASE_URL: back it up with its own tools (docs/operations.md). qflare backup --check sees whether the root key is its.',
    )
  }
  const folder = resolve(out)
  const found = await inspectEmbedded(config.dataDirectory)
  if (found.state === 'none') throw noDatabase(config.dataDirectory)
  const place = join(await realpath(dirname(folder)), basename(folder))
  const homes = [await realpath(config.dataDirectory), ...('folder' in found ? [found.folder] : [])]
  if (!homes.some((home) => isInside(home, place))) return folder
  throw new OperationError(
    'place_taken',
    'A backup inside the data folder would be lost with it: choose another place.',
  )
}

function isInside(home: string, place: string): boolean {
  const way = relative(home, place)
  return way !== '..' && !way.startsWith(`..${sep}`)
}

function describe(
  folder: string,
  { rootKid, trustDomain, files, finishedAt }: Awaited<ReturnType<typeof createBackup>>,
  hasRootKey: boolean,
): string {
  const total = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  const rows = toList([
    ['backup', folder],
    ['made', new Date(finishedAt).toISOString()],
    ['size', formatBytes(total)],
    ['root of trust', `${rootKid}, ${trustDomain}`],
    ['root key', hasRootKey ? 'in the backup: guard it like the service itself' : 'not in the backup: keep it apart'],
  ])
  return `${rows}\n\nqflare backup verify ${folder} restores it to a scratch folder, and checks all of it.`
}
