import { ProtocolError } from '../../protocol/errors.ts'
import type { VerifierKey } from '../../protocol/log/verifier-key.ts'
import { choosePrimitives } from '../../protocol/primitives/choose.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { openAuditor, type QflareAuditor } from '../auditor.ts'
import { QflareError } from '../errors.ts'
import { parseServerUrl } from '../server-url.ts'
import { auditKeyFlags, findLogKeys, readVerifierKeys } from './audit-keys.ts'
import { defineCommand } from './define-command.ts'
import { CommandError, exitCodes, usageError } from './exit-codes.ts'
import type { Flags, Values } from './flags.ts'
import { findApiToken } from './settings.ts'
import { type AuditFile, isBeginningOf, openAuditFile, verifyExportFile, verifyProofFile } from './verify-file.ts'
import { type FetchedCheckpoint, type VerifyNewestOptions, verifyNewest } from './verify-newest.ts'
import { printReport, type VerifyReport } from './verify-report.ts'
import { verifyExportOf, verifyHashesOf } from './verify-url.ts'
import { requireIndependent, requireWitnesses, type VerifyPolicy } from './verify-witnesses.ts'

const flags = {
  ...auditKeyFlags,
  witness: {
    type: 'string',
    value: 'KEY',
    multiple: true,
    help: 'a witness whose signature you want to see: its verifier key, or a file of such lines',
  },
  'witnesses-needed': {
    type: 'string',
    value: 'N',
    parse: (text: string) => (/^\d{1,3}$/.test(text) ? Number(text) : undefined),
    expects: 'a number',
    help: 'how many of the witnesses have to have signed; default: all that are given',
  },
  event: {
    type: 'string',
    value: 'FILE',
    help: "of a proof: the event's JSON; default: the file beside it, NAME.json",
  },
  log: { type: 'string', value: 'URL', help: 'of a file: ask the log there whether it still continues what is in it' },
  public: { type: 'boolean', help: 'of a URL: read what anyone may, which is hashes, and send no API token' },
  'insecure-http': {
    type: 'boolean',
    help: 'allow http:// to another machine: tokens then cross the network in clear',
  },
} as const satisfies Flags
type VerifyFlags = Values<typeof flags>

export const auditVerify = defineCommand({
  name: 'audit verify',
  positionals: ['FILE-or-URL'],
  summary:
    'Verifies an export or a proof of one event without any network, or the log of a server; says which entry is the first bad one.',
  isLocal: true,
  flags,
  examples: [
    'qflare audit verify history.jsonl --key audit.vkey',
    'qflare audit verify evidence.tlog-proof --key audit.vkey',
    'qflare audit verify https://trust.example --pin M6EuDp7nvvVZjk3MaVfvXg',
    'qflare audit verify history.jsonl --key audit.vkey --log https://trust.example',
  ],
  notes:
    'FILE is - for an export on stdin. The key is what you trust: a file is verified under --key; for a URL, the keys of the server are taken where it is missing, and --pin says who has to vouch for them. Of a URL, events are read with the API token that QFLARE_ADMIN_TOKEN_FILE names, where QFLARE_URL is this server (http://127.0.0.1:8470 where it is not set); otherwise hashes alone, which prove one history of the log and nothing of what it says. auditing.md says more. With --json: {"verified", "complete", "problem", "entries", "event", "checkpoint", "newest", "witnesses", …}.',
  exitNotes:
    'Here 1 means first of all that something does not verify, which stdout says too; 4 that there is no such file, or it is none to be verified.',
  async run({ values, positionals: [source = ''] }) {
    const crypto = await choosePrimitives()
    const startedAt = performance.now()
    const isUrl = /^https?:\/\//i.test(source)
    const verify = isUrl ? verifyUrl : verifyFile
    const found = await verify(crypto, source, values).catch((error: unknown) => {
      throw isAway(error) ? new CommandError(exitCodes.unreachable, error.message, error.code) : error
    })
    await printReport(values.json, { ...nothingFound, elapsedMs: performance.now() - startedAt, ...found, source })
    return undefined
  },
})

type Found = Partial<VerifyReport> & Pick<VerifyReport, 'problem' | 'checkpoint' | 'witnesses'>
const nothingFound = { entries: undefined, event: undefined, newest: undefined }

async function verifyFile(crypto: Primitives, path: string, values: VerifyFlags): Promise<Found> {
  const { key, event, log, public: isPublic } = values
  if (isPublic === true) throw usageError('--public is for a URL.')
  const file = await openAuditFile(path)
  if (file.kind === 'export' && event !== undefined) throw usageError('--event is for a proof.')
  const auditor = log === undefined ? undefined : openLog(crypto, log, values)
  if (key === undefined && auditor === undefined) throw noKey(values)
  const keys =
    auditor === undefined ? await readVerifierKeys(crypto, key ?? []) : await findLogKeys(crypto, values, auditor)
  const policy = await readPolicy(crypto, keys, values)
  const startedAt = performance.now()
  const read = await readFileOf(crypto, file, event, policy)
  // Not of waiting for witnesses.
  const found = { ...read, elapsedMs: performance.now() - startedAt }
  if (auditor === undefined) return withWitnesses(found, policy)
  const { from, to } = found.entries ?? { from: undefined, to: 0 }
  // What came on stdin is gone.
  const isBeginning = async ({ size, text }: FetchedCheckpoint) =>
    from === 0 && size <= to && path !== '-' ? isBeginningOf(crypto, path, text, policy) : undefined
  return withNewest(crypto, auditor, policy, found, isBeginning)
}

async function readFileOf(
  crypto: Primitives,
  file: AuditFile,
  event: string | undefined,
  policy: VerifyPolicy,
): Promise<Read> {
  if (file.kind === 'proof') return verifyProofFile(crypto, file.path, event, policy)
  const { from, to, events, hashesOnly, problem, checkpoint } = await verifyExportFile(crypto, file.path, policy)
  return { problem, checkpoint, entries: { from, to, events, hashesOnly } }
}

async function verifyUrl(crypto: Primitives, source: string, values: VerifyFlags): Promise<Found> {
  if (values.log !== undefined || values.event !== undefined) throw usageError('--log and --event are for a file.')
  const url = parseServerUrl(source, { allowInsecureHttp: values['insecure-http'] === true })
  const apiToken = values.public === true ? undefined : await findApiToken(url)
  const auditor = openLog(crypto, url, values, apiToken)
  const policy = await readPolicy(crypto, await findLogKeys(crypto, values, auditor), values)
  const startedAt = performance.now()
  const read = await catchProblem(() =>
    apiToken === undefined ? verifyHashesOf(crypto, auditor, policy) : verifyExportOf(crypto, auditor, policy),
  )
  const found = { ...read, elapsedMs: performance.now() - startedAt }
  if (apiToken === undefined && values.json !== true) {
    const hint =
      values.public === true ? '' : ' An API token is sent to the server of QFLARE_URL only: set it to this URL.'
    console.error(`qflare: no API token for this server was used: hashes were seen, and no event.${hint}`)
  }
  return withNewest(crypto, auditor, policy, found)
}

function openLog(crypto: Primitives, url: string, values: VerifyFlags, apiToken?: string): QflareAuditor {
  return openAuditor({ url, allowInsecureHttp: values['insecure-http'] === true, apiToken, crypto })
}

async function readPolicy(crypto: Primitives, log: VerifierKey[], values: VerifyFlags): Promise<VerifyPolicy> {
  if (values.key !== undefined && values.pin !== undefined) throw usageError('Either --key or --pin.')
  const witnesses = await readVerifierKeys(crypto, values.witness ?? [])
  requireIndependent(witnesses, log)
  const given = new Set(witnesses.map(({ name }) => name)).size
  const witnessesNeeded = values['witnesses-needed'] ?? given
  if (witnessesNeeded > given) throw usageError(`--witnesses-needed is more than the ${given} of --witness.`)
  return { log, witnesses, witnessesNeeded }
}

type Read = Pick<VerifyReport, 'problem' | 'checkpoint'> & Partial<VerifyReport>

/** The witnesses' signatures on the checkpoint that was read. */
function withWitnesses(found: Read, policy: VerifyPolicy, checkpoint = found.checkpoint): Found {
  const given = new Set(policy.witnesses.map(({ name }) => name)).size
  const witnesses = { given, needed: policy.witnessesNeeded, checkpoint }
  try {
    if (checkpoint !== undefined) requireWitnesses(checkpoint, policy, found.checkpoint?.size ?? 0)
    return { ...found, witnesses }
  } catch (error) {
    return { ...found, witnesses, problem: found.problem ?? toProblem(error) }
  }
}

/** The same, after the log was asked whether it continues what was read. */
async function withNewest(
  crypto: Primitives,
  auditor: QflareAuditor,
  policy: VerifyPolicy,
  found: Read,
  isBeginning?: VerifyNewestOptions['isBeginning'],
): Promise<Found> {
  const { checkpoint, problem } = found
  if (checkpoint === undefined || problem !== undefined) return withWitnesses(found, policy)
  try {
    const { newest, witnessed } = await verifyNewest(crypto, auditor, policy, checkpoint, { isBeginning })
    return withWitnesses({ ...found, newest }, policy, witnessed ?? newest)
  } catch (error) {
    return withWitnesses({ ...found, problem: toProblem(error) }, policy)
  }
}

async function catchProblem(read: () => Promise<Read>): Promise<Read> {
  try {
    return await read()
  } catch (error) {
    return { checkpoint: undefined, problem: toProblem(error) }
  }
}

/** That says nothing of the log. */
function isAway(error: unknown): error is QflareError {
  return error instanceof QflareError && error.status !== undefined && error.status >= 500
}

/** What a check refused; any other error goes on. */
function toProblem(error: unknown): NonNullable<VerifyReport['problem']> {
  if (error instanceof ProtocolError) return { index: undefined, reason: error.message }
  throw error
}

function noKey(values: VerifyFlags): CommandError {
  const hint = values.pin === undefined ? '' : ' --pin is for keys that a server gives.'
  return new CommandError(
    exitCodes.usage,
    `--key is missing: a file is verified under the key that you trust, not under one that came with it.${hint} qflare audit key prints the keys of a service; get them from it, or from who runs it, apart from the file.`,
    'usage',
  )
}
