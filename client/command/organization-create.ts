import { defineCommand } from './define-command.ts'
import { usageError } from './exit-codes.ts'
import { parseName } from './parse-values.ts'
import { printable, printNewSecret, printResult } from './print.ts'
import { keepNewSecret } from './secret-file.ts'
import { openOperatorOf, operatorNotes } from './settings.ts'

export const organizationCreate = defineCommand({
  name: 'organization create',
  positionals: ['NAME'],
  summary: 'Makes an organization, which sees nothing of the others, and its first admin token.',
  flags: {
    out: { type: 'string', value: 'FILE', help: 'write the admin token to a new file of mode 0600 instead of stdout' },
  },
  examples: ['qflare organization create hospital-north --out hospital-north.admin-token'],
  notes: `Only an admin of the service may do this: the admin token of the first start is one.\n\n${operatorNotes}`,
  async run({ values: { out, json, ...flags }, positionals: [typed = ''] }) {
    const name = parseName(typed)
    if (name === undefined)
      throw usageError('NAME has 1 to 128 characters: no control or format characters, and at least one that shows.')
    const operator = await openOperatorOf(flags)
    const make = async () => {
      const { adminToken, ...organization } = await operator.createOrganization({ name })
      return { organization, adminToken, token: adminToken.token }
    }
    const { organization, adminToken } = await keepNewSecret(out, make)
    const made = `${printable(organization.name)} (${organization.id}) is made.`
    if (out === undefined) {
      // Its API tokens are its own: an admin of another organization, as the caller is, revokes none of them.
      const revocation = `qflare admin-token recover --revoke-others --organization "${name}"`
      await printNewSecret(json, { ...organization, adminToken }, adminToken.token, revocation)
      if (json !== true) console.error(`${made} Its admin token is on stdout, this once.`)
    } else {
      const { token: _, ...shown } = adminToken
      await printResult(
        json,
        { ...organization, adminToken: { ...shown, file: out } },
        `${made} Its admin token is in ${out}.`,
      )
    }
    return undefined
  },
})
