import { confirm, yesFlag } from '../client/command/confirm.ts'
import { printResult } from '../client/command/print.ts'
import { choosePrimitives } from '../protocol/primitives/choose.ts'
import { adminTokenFile, keepAdminToken } from '../runtime/secrets.ts'
import { catchSignals } from './catch-signals.ts'
import { configOf, dataDirectoryFlag, defineOperation, environmentNotes } from './define-operation.ts'
import { openLocalDatabase } from './local-database.ts'
import { DEFAULT_ORGANIZATION, recoverAdminToken } from './recover-admin-token.ts'
import { requireOwnFolder } from './require-own-folder.ts'

export const adminTokenRecover = defineOperation({
  name: 'admin-token recover',
  summary: 'Makes a new admin token on the machine itself and writes it to a file in the data folder.',
  flags: {
    organization: { type: 'string', value: 'NAME', help: 'whose admin', default: DEFAULT_ORGANIZATION },
    'revoke-others': { type: 'boolean', help: 'revoke every other API token of the organization' },
    ...yesFlag,
    ...dataDirectoryFlag,
  },
  examples: ['qflare admin-token recover', 'qflare admin-token recover --organization north --revoke-others'],
  notes: `The token of ${DEFAULT_ORGANIZATION} goes to admin-token and administers the service too; that of another organization goes to admin-token.ID, with the id of the organization. A file that is there is put aside as ….replaced, ….replaced-2 and so on. The log gets an event of severity warning.\n\n${environmentNotes}`,
  async run({ values }) {
    const { config } = configOf(values)
    const { dataDirectory } = config
    await requireOwnFolder(dataDirectory)
    const { organization } = values
    const revokesOthers = values['revoke-others'] === true
    const others = revokesOthers ? ' and revoke every other API token of it' : ''
    await confirm(values.yes, async () => `Make a new admin token of the organization ${organization}${others}?`)
    const crypto = await choosePrimitives(config.crypto)
    using interruption = catchSignals()
    await using local = await openLocalDatabase(config, 'current', (message) => console.error(message))
    interruption.signal.throwIfAborted()
    const fileOf = (id: string) => adminTokenFile(dataDirectory, organization === DEFAULT_ORGANIZATION ? undefined : id)
    const keepToken = (token: string, organizationId: string) => keepAdminToken(fileOf(organizationId), token)
    const { database } = local
    const made = await recoverAdminToken({ database, crypto, keepToken }, { organization, revokesOthers })
    const file = fileOf(made.organizationId)
    const also = revokesOthers ? ` ${made.revoked.length} other API tokens of ${organization} are revoked.` : ''
    const shown = { id: made.id, organizationId: made.organizationId, file, revoked: made.revoked }
    await printResult(values.json, shown, `The new admin token of ${organization} is in ${file}.${also}`)
    return undefined
  },
})
