import { QflareError } from '../errors.ts'

/** Why a program of tpm2-tools failed, and what to do. Nothing of a secret is in what they print to stderr. */
export function toTpmError(
  tool: string,
  error: Error & { code?: string | number | null | undefined; killed?: boolean | undefined },
  stderr: string,
): QflareError {
  const unavailable = (message: string) => new QflareError('tpm_unavailable', message, { cause: error })
  if (error.code === 'ENOENT') {
    return unavailable('The program tpm2 is not here: install tpm2-tools (Debian, Ubuntu: apt-get install tpm2-tools).')
  }
  if (error.killed === true) return unavailable(`The TPM did not answer tpm2 ${tool} in time.`)
  if (/Failed to open .*Permission denied/.test(stderr)) {
    return unavailable(
      'This user may not use the TPM: /dev/tpmrm0 is for the group tss (usermod -aG tss USER, then log in again).',
    )
  }
  if (/Could not load tcti|Failed to instantiate TCTI/.test(stderr)) {
    const path = /Failed to (?:open specified TCTI device file|connect to) (\S+)/.exec(stderr)?.[1]
    const where = path === undefined ? '' : ` (${path})`
    return unavailable(
      `There is no TPM to be reached${where}: is it switched on in the firmware, and is the TCTI right?`,
    )
  }
  return new QflareError('tpm_refused', `The TPM refuses tpm2 ${tool}: ${reasonOf(error, stderr)}`, { cause: error })
}

function reasonOf(error: Error, stderr: string): string {
  // The tools' own lines; those of the libraries below say where in their code they are.
  const line = stderr.split('\n').find((text) => text.startsWith('ERROR: '))
  const reason = line?.slice('ERROR: '.length, 300) ?? error.message.slice(0, 300)
  const isLocked = /authorization HMAC check failed|authorization failure|lockout/i.test(stderr)
  return isLocked
    ? `${reason}. Its owner or its endorsements have a password, which is not asked for here.`
    : `${reason}.`
}
