import { QflareError } from '../errors.ts'

/**
 * What a state may say of where its TPM is: a device of TPMs, a simulator, the resource manager. tpm2-tools take more, among it
 * programs to run, libraries to load and any file to write to, and who writes a state is not to do that with them.
 */
const harmless = /^(device(:\/dev\/tpm(rm)?\d{1,3})?|(swtpm|mssim|tabrmd)(:.*)?)$/

/** What of it is stored. What is not has to be given each time, in TPM2TOOLS_TCTI for example. */
export function toStoredTcti(tcti: string | undefined): string | undefined {
  return tcti !== undefined && harmless.test(tcti) ? tcti : undefined
}

/** What was stored. Throws `state_unusable`. */
export function fromStoredTcti(tcti: string | undefined): string | undefined {
  if (tcti === undefined || harmless.test(tcti)) return tcti
  const shown = JSON.stringify(tcti)
  throw new QflareError(
    'state_unusable',
    `The state says that its TPM is at ${shown}: no such place is taken from a file.`,
  )
}
