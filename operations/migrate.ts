import { printResult } from '../client/command/print.ts'
import { migrate as migrateSchema } from '../database/migrate.ts'
import { configOf, dataDirectoryFlag, defineOperation } from './define-operation.ts'
import { OperationError } from './operation-error.ts'

export const migrate = defineOperation({
  name: 'migrate',
  summary: 'Brings the schema of the PostgreSQL at DATABASE_URL to this release.',
  flags: { ...dataDirectoryFlag },
  examples: ['qflare migrate'],
  notes:
    'With the settings of the service and QFLARE_DATABASE_URL_MIGRATOR, which the processes themselves need no more then. Nothing to do is well; several at once take turns. The embedded PostgreSQL is migrated by each start.',
  async run({ values }) {
    const { config } = configOf(values)
    if (config.database?.migrator === undefined) {
      throw new OperationError(
        'not_own_database',
        config.database === undefined
          ? 'There is no DATABASE_URL: the embedded PostgreSQL is migrated by each start.'
          : 'Set QFLARE_DATABASE_URL_MIGRATOR: the login that may change the schema.',
      )
    }
    const applied = await migrateSchema({ connectionString: config.database.migrator })
    const text = applied.length === 0 ? 'The schema is that of this release.' : `Applied: ${applied.join(', ')}.`
    await printResult(values.json, { applied }, text)
    return undefined
  },
})
