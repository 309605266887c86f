import { confirm, yesFlag } from '../client/command/confirm.ts'
import { printResult } from '../client/command/print.ts'
import { choosePrimitives } from '../protocol/primitives/choose.ts'
import { adminTokenFile, keepAdminToken } from '../runtime/secrets.ts'
import { configOf, dataDirectoryFlag, defineOperation, environmentNotes } from './define-operation.ts'
import { openLocalDatabase } from './local-database.ts'
import { DEFAULT_ORGANIZATION, recoverAdminToken } from './recover-admin-token.ts'

export const adminTokenRecover = defineOperation({
  name: 'admin-token recover',
  summary: 'Makes a new admin token on the machine itself and writes it to admin-token in the data folder.',
  flags: {
    organization: { type: 'string', value: 'NAME', help: 'whose admin', default: DEFAULT_ORGANIZATION },
    'revoke-others': { type: 'boolean', help: 'revoke every other API token of the organization' },
    ...yesFlag,
    ...dataDirectoryFlag,
  },
  examples: ['qflare admin-token recover', 'qflare admin-token recover --organization north --revoke-others'],
  notes: `The token of ${DEFAULT_ORGANIZATION} administers the service too. A token file that is there is put aside as admin-token.replaced. The log gets an event of severity warning.\n\n${environmentNotes}`,
  async run({ values }) {
    const { config } = configOf(values)
    const { organization } = values
    const revokesOthers = values['revoke-others'] === true
    const others = revokesOthers ? ' and revoke every other API token of it' : ''
    await confirm(values.yes, async () => `Make a new admin token of the organization ${organization}${others}?`)
    const crypto = await choosePrimitives(config.crypto)
    await using local = await openLocalDatabase(config, 'current', (message) => console.error(message))
    const keepToken = (token: string) => keepAdminToken(config.dataDirectory, token)
    const { database } = local
    const made = await recoverAdminToken({ database, crypto, keepToken }, { organization, revokesOthers })
    const file = adminTokenFile(config.dataDirectory)
    const also = revokesOthers ? ` ${made.revoked.length} other API tokens of ${organization} are revoked.` : ''
    const shown = { id: made.id, organizationId: made.organizationId, file, revoked: made.revoked }
    printResult(values.json, shown, `The new admin token of ${organization} is in ${file}.${also}`)
    return undefined
  },
})
