import { principalKinds } from '../../protocol/enrollment.ts'
import { defineCommand } from './define-command.ts'
import { usageError } from './exit-codes.ts'
import { formatTime, printResult, writeSecretFile } from './print.ts'
import { openOperatorOf, operatorNotes } from './settings.ts'

export const tokenCreate = defineCommand({
  usage: 'token create [--kind device|coordinator] [--name NAME] [--ttl SECONDS] [--out FILE]',
  summary: 'Makes an enrolment token, good for one device, and prints it this once.',
  flags: `  --kind KIND       device (default) or coordinator
  --name NAME       the only name that the device may enrol under
  --ttl SECONDS     how long the token may be used: 60 to 2592000, default a day
  --out FILE        write the token to a new file of mode 0600 instead of stdout`,
  notes: `qflare token create | qflare enroll\n\n${operatorNotes}`,
  options: {
    kind: { type: 'string', default: 'device' },
    name: { type: 'string' },
    ttl: { type: 'string' },
    out: { type: 'string' },
  },
  async run({ values }) {
    const kind = principalKinds.find((known) => known === values.kind)
    if (kind === undefined) throw usageError(`--kind is ${principalKinds.join(' or ')}.`)
    if (values.ttl !== undefined && !/^\d{1,9}$/.test(values.ttl)) throw usageError('--ttl is a number of seconds.')
    const ttlSeconds = values.ttl === undefined ? undefined : Number(values.ttl)
    const operator = await openOperatorOf(values)
    const { id, token, expiresAt } = await operator.createEnrollmentToken({ kind, name: values.name, ttlSeconds })
    const shown = { id, expiresAt, kind, ...(values.name === undefined ? {} : { name: values.name }) }
    const note = `It serves one enrolment and expires ${formatTime(expiresAt, Date.now())}.`
    if (values.out === undefined) {
      printResult(values.json, { ...shown, token }, token)
      if (values.json !== true) console.error(`The token is on stdout, this once. ${note}`)
    } else {
      await writeSecretFile(values.out, `${token}\n`)
      printResult(values.json, { ...shown, file: values.out }, `The token is in ${values.out}. ${note}`)
    }
    return undefined
  },
})
