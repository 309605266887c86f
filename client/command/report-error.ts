import { ProtocolError, type ProtocolErrorCode } from '../../protocol/errors.ts'
import { type ClientErrorCode, isClientErrorCode, QflareError } from '../errors.ts'
import { CommandError, type ExitCode, exitCodes } from './exit-codes.ts'
import { printable, toJson } from './print.ts'

const { refused, usage, unreachable, localState } = exitCodes

const clientErrors = {
  network: [unreachable, 'Is the service running (npm start)? --url or QFLARE_URL names another.'],
  timeout: [unreachable, 'Try again; qflare status shows what the server is missing.'],
  tls_failed: [unreachable, ''],
  bad_answer: [unreachable, 'Is this the URL of a QFLARE server, of a version that fits this command?'],
  input_invalid: [usage, ''],
  insecure_url: [usage, 'For a network that you trust with the tokens there is --insecure-http.'],
  token_invalid: [usage, 'qflare token create makes one.'],
  policy_refused: [
    refused,
    'Choose another --alg, or --tpm or --confidential for evidence; or ask the operator for a token of another policy.',
  ],
  attester_failed: [localState, ''],
  tpm_unavailable: [localState, ''],
  tpm_refused: [localState, ''],
  report_unavailable: [localState, ''],
  certificates_missing: [localState, ''],
  quarantined: [refused, ''],
  suite_refused: [refused, 'Update this command or the server.'],
  clock_refused: [refused, 'Set the clock of this device, then exchange again.'],
  not_enrolled: [localState, 'qflare enroll makes one; --state names another file.'],
  already_enrolled: [localState, '--state names a file for another device.'],
  no_session: [localState, 'qflare exchange makes one.'],
  epoch_gone: [localState, 'Ask for the current epoch; after a long pause, qflare exchange first.'],
  notice_refused: [refused, ''],
  state_unusable: [localState, ''],
  state_changed: [localState, 'Try again when the other process is done.'],
  state_sealed: [localState, ''],
} as const satisfies Record<ClientErrorCode, readonly [ExitCode, string]>

const protocolAdvice: Partial<Record<ProtocolErrorCode, string>> = {
  certificate_invalid: 'This is not the server that the device enrolled with, or a cache is in between.',
  bucket_out_of_window: 'Set the clock of this device, then exchange again.',
  confirmation_invalid: 'This is not the server that the device enrolled with.',
  trust_invalid: 'This is not the server that the token, the device or the pin knows.',
  log_invalid: 'Keep what you have; docs/auditing.md says what to do next.',
  round_invalid: 'It is not what was asked for, or not what was signed: ask who runs the service.',
}

/**
 * Of the server's codes (docs/errors.md), those that someone at this command can do something about: what to do, not again what
 * went wrong, which the server's message says.
 */
const serverAdvice: Record<string, string> = {
  unauthenticated:
    'QFLARE_ADMIN_TOKEN_FILE names the file of an API token; a device gets its token with qflare exchange.',
  forbidden: 'Ask an admin for an API token of that role, or use one.',
  enrollment_refused: 'Ask the operator for a new one.',
  challenge_expired: 'The token is good for another try.',
  kind_mismatch: 'Give the --kind and the --name that the token was made for.',
  trust_mismatch: 'Someone may stand between: ask the operator before you try again.',
  draft_mismatch: 'qflare root draft fetches what waits now; sign that.',
  exchange_refused: 'It may be suspended or revoked: ask the operator.',
  confirmation_refused: 'Exchange again.',
  attestation_required:
    'qflare federation show names the policy; the device or coordinator has to be attested as it wants.',
  name_taken: 'Choose another name.',
  round_state: 'qflare round show says what became of the round.',
  unavailable: 'qflare status shows what the server is missing.',
}

interface Report {
  exitCode: ExitCode
  code: string
  message: string
  advice: string
  requestId?: string | undefined
  retryAfterSeconds?: number | undefined
}

/** On stderr, one line but for lists: what went wrong, what to do, the code and the request id. Gives the exit code. */
export function reportError(error: unknown, json: boolean): ExitCode {
  const { exitCode, ...report } = toReport(error)
  if (json) {
    console.error(toJson({ error: report }))
    return exitCode
  }
  const { code, message, advice, requestId, retryAfterSeconds } = report
  const wait = retryAfterSeconds === undefined ? '' : ` The server asks to wait ${retryAfterSeconds} s.`
  const named = [code, requestId === undefined ? '' : `request ${requestId}`].filter(Boolean).join(', ')
  const line = `${message}${wait}${advice === '' ? '' : ` ${advice}`} (${named})`
  // Our own messages may list things; a server's stays one line, so that it cannot pretend to be ours.
  const lines = error instanceof CommandError ? line.split(/\n\s*/) : [line]
  console.error(`qflare: ${lines.map(printable).join('\n  ')}`)
  return exitCode
}

function toReport(error: unknown): Report {
  if (error instanceof CommandError) {
    return { exitCode: error.exitCode, code: error.code, message: error.message, advice: '' }
  }
  if (error instanceof ProtocolError) {
    return { exitCode: refused, code: error.code, message: error.message, advice: protocolAdvice[error.code] ?? '' }
  }
  if (error instanceof QflareError) {
    const { code, message, requestId, retryAfterSeconds } = error
    const [exitCode, advice] = isClientErrorCode(code) ? clientErrors[code] : [refused, serverAdvice[code] ?? '']
    return { exitCode, code, message, advice, requestId, retryAfterSeconds }
  }
  const message = error instanceof Error ? error.message : String(error)
  return { exitCode: refused, code: 'internal', message, advice: 'This is a bug of the command: please report it.' }
}
