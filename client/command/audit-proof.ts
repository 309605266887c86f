import { canonicalJson } from '../../protocol/encoding.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { verifyTlogProof } from '../../protocol/log/tlog-proof.ts'
import { choosePrimitives } from '../../protocol/primitives/choose.ts'
import { auditKeyFlags, findLogKeys } from './audit-keys.ts'
import { eventIdName } from './audit-show.ts'
import { defineCommand } from './define-command.ts'
import { usageError } from './exit-codes.ts'
import { parseIdArgument } from './parse-values.ts'
import { formatTime, printResult, toList } from './print.ts'
import { writeProofFiles } from './proof-files.ts'
import { auditorNotes, openAuditorOf } from './settings.ts'

export const auditProof = defineCommand({
  name: 'audit proof',
  positionals: ['ID'],
  summary: 'Fetches an event and the proof that it is in the log, verifies both, and writes them into two files.',
  flags: {
    ...auditKeyFlags,
    out: { type: 'string', value: 'NAME', help: 'the files are NAME.json and NAME.tlog-proof; default: the id' },
  },
  examples: ['qflare audit proof 0199b0a4-7e1c-7000-8000-00000000000e --out evidence --key audit.vkey'],
  notes: `NAME.json is what was hashed, to the byte; NAME.tlog-proof is a c2sp.org/tlog-proof@v1, for any program that knows these. An event of this minute may not be published yet: try again.\n\n${auditorNotes}`,
  async run({ values, positionals: [typed] }) {
    const id = parseIdArgument(typed, eventIdName)
    const { out = id, key, pin, json } = values
    if (key !== undefined && pin !== undefined) throw usageError('Either --key or --pin.')
    const crypto = await choosePrimitives()
    const auditor = await openAuditorOf(values)
    const log = await findLogKeys(crypto, values, auditor)
    const [{ index, event }, proof] = await Promise.all([auditor.getEvent(id), auditor.getEventProof(id)])
    const entry = canonicalJson(event)
    const verified = verifyTlogProof(crypto, proof, new TextEncoder().encode(entry), { log })
    if (event.id !== id || verified.index !== index) {
      throw new ProtocolError('log_invalid', `The server gave another event than ${id}.`)
    }
    const files = await writeProofFiles(out, entry, proof)
    const { checkpoint } = verified
    const shown = { id, index, ...files, checkpoint: { size: checkpoint.size, signedAt: checkpoint.signedAt } }
    const text = toList([
      ['event', `${event.type}, ${formatTime(event.at, Date.now())}`],
      ['index', `${index}, in a log of ${checkpoint.size}`],
      ['files', `${files.event}, ${files.proof}`],
      ['verify', `qflare audit verify ${files.proof} --key KEY`],
    ])
    await printResult(json, shown, text)
    return undefined
  },
})
