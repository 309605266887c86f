import { apiRoles } from '../../protocol/api-roles.ts'
import { defineCommand } from './define-command.ts'
import { usageError } from './exit-codes.ts'
import { durationFlag, nameFlag, parseList } from './parse-values.ts'
import { formatTime, printNewSecret, printResult } from './print.ts'
import { keepNewSecret } from './secret-file.ts'
import { openOperatorOf, operatorNotes } from './settings.ts'

export const apiTokenCreate = defineCommand({
  name: 'api-token create',
  summary: 'Makes an API token of the organization, for a person or a program, and prints it this once.',
  flags: {
    name: { ...nameFlag, help: 'what it is for, 1 to 128 characters; needed' },
    roles: {
      type: 'string',
      value: 'A,B',
      parse: parseRoles,
      expects: `one or more of ${apiRoles.join(', ')}, between commas`,
      help: `what it may do, of ${apiRoles.join(', ')}; needed. An admin may do what an operator may`,
    },
    ttl: {
      ...durationFlag,
      help: 'how long it is good for: 60 s to 365 d, where the service allows that; default 90 d',
    },
    out: { type: 'string', value: 'FILE', help: 'write the token to a new file of mode 0600 instead of stdout' },
  },
  examples: [
    'qflare api-token create --name "night shift" --roles operator --ttl 12h --out operator.token',
    'qflare api-token create --name dashboards --roles auditor,coordinator --ttl 365d',
  ],
  notes: `Only an admin may do this.\n\n${operatorNotes}`,
  async run({ values: { name, roles, ttl: ttlSeconds, out, json, ...flags } }) {
    if (name === undefined || roles === undefined) throw usageError('An API token needs --name and --roles.')
    const operator = await openOperatorOf(flags)
    const make = () => operator.createApiToken({ name, roles, ttlSeconds })
    const { token, ...made } = await keepNewSecret(out, make)
    const shown = { ...made, name, roles }
    const note =
      made.expiresAt === null ? 'It does not expire.' : `It expires ${formatTime(made.expiresAt, Date.now())}.`
    if (out === undefined) {
      await printNewSecret(json, { ...shown, token }, token, `qflare api-token revoke ${made.id}`)
      if (json !== true) console.error(`The token is on stdout, this once. ${note}`)
    } else {
      await printResult(json, { ...shown, file: out }, `The token is in ${out}. ${note}`)
    }
    return undefined
  },
})

function parseRoles(text: string) {
  const typed = parseList(text).map((role) => role.toLowerCase())
  const roles = apiRoles.filter((role) => typed.includes(role))
  return roles.length === 0 || roles.length !== new Set(typed).size ? undefined : roles
}
