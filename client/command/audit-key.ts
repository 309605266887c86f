import { formatRetiredKey, formatVerifierKey, type VerifierKey } from '../../protocol/log/verifier-key.ts'
import { choosePrimitives } from '../../protocol/primitives/choose.ts'
import { openAuditor } from '../auditor.ts'
import { auditKeyFlags, warnOfKeys } from './audit-keys.ts'
import { defineCommand } from './define-command.ts'
import { writeNewFile } from './new-file.ts'
import { printResult } from './print.ts'
import { serverOptions } from './settings.ts'

export const auditKey = defineCommand({
  name: 'audit key',
  summary:
    'Prints the keys that sign the audit log, one on a line: what qflare audit verify --key takes. Anyone may ask.',
  flags: {
    pin: auditKeyFlags.pin,
    out: { type: 'string', value: 'FILE', help: 'write them to a new file instead' },
  },
  examples: [
    'qflare audit key --pin M6EuDp7nvvVZjk3MaVfvXg',
    'qflare audit key --pin M6EuDp7nvvVZjk3MaVfvXg --out audit.vkey',
  ],
  notes:
    'Keep them where the server cannot change them: a proof says no more than that whoever has these keys signed. With --json: {"origin", "rootKid", "pinned", "keys": [{"key", "alg", "notBefore", "notAfter", "current"}]}; a key that is not current verifies what was signed earlier. The line of a retired key ends in "until TIME": what it signed later does not count. The keys rotate: fetch them again when a successor is announced, at least once a year.',
  async run({ values }) {
    const crypto = await choosePrimitives()
    const { pin, out, json } = values
    const { origin, rootKid, keys, current } = await openAuditor({ ...serverOptions(values), crypto }).fetchAuditKeys({
      pin,
    })
    const lines = keys.map((key) => lineOf(key, Date.now()))
    if (out !== undefined) await writeNewFile(out, `${lines.join('\n')}\n`)
    const listed = keys.map((key) => ({
      key: formatVerifierKey(key),
      alg: key.key.alg,
      notBefore: key.validity?.notBefore ?? null,
      notAfter: key.validity?.notAfter ?? null,
      current: current.some((one) => formatVerifierKey(one) === formatVerifierKey(key)),
    }))
    const shown = {
      origin,
      rootKid,
      pinned: pin !== undefined,
      keys: listed,
      ...(out === undefined ? {} : { file: out }),
    }
    await printResult(
      json,
      shown,
      out === undefined ? lines.join('\n') : `${keysOf(lines.length)} of ${origin}: ${out}`,
    )
    if (pin === undefined && json !== true) warnOfKeys(rootKid)
    return undefined
  },
})

function lineOf(key: VerifierKey, now: number): string {
  const notAfter = key.validity?.notAfter ?? now
  return notAfter < now ? formatRetiredKey(key, notAfter) : formatVerifierKey(key)
}

function keysOf(count: number): string {
  return count === 1 ? 'The key' : `The ${count} keys`
}
