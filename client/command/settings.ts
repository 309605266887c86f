import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { choosePrimitives } from '../../protocol/primitives/choose.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { openAttestationInputs, type QflareAttestationInputs } from '../attestation-inputs.ts'
import { openAttestations, type QflareAttestations } from '../attestations.ts'
import { openAuditor, type QflareAuditor } from '../auditor.ts'
import { type DeviceOptions, openDevice, type QflareDevice } from '../device.ts'
import { openFederations, type QflareFederations } from '../federations.ts'
import { openIncidents, type QflareIncidents } from '../incidents.ts'
import { openAttesters } from '../open-attesters.ts'
import { openOperator, type QflareOperator } from '../operator.ts'
import { parseServerUrl } from '../server-url.ts'
import { CommandError, exitCodes } from './exit-codes.ts'
import { openStateStore } from './state-store.ts'

/** What the command takes from flags and from the environment; flags win. */

const DEFAULT_URL = 'http://127.0.0.1:8470'

export interface ServerFlags {
  url?: string | undefined
  'insecure-http'?: boolean | undefined
}

export interface StateFlags {
  state?: string | undefined
}

export const stateFlag = {
  state: {
    type: 'string',
    value: 'FILE',
    help: "the device's state (or QFLARE_STATE; default: device.json in the data folder, which is QFLARE_DATA_DIR or .qflare in the current folder)",
  },
} as const
const tokenNotes =
  'the API token is read from the file that QFLARE_ADMIN_TOKEN_FILE names, or from admin-token in the data folder (QFLARE_DATA_DIR, or .qflare in the current folder), where an embedded service puts one at its first start.'
export const operatorNotes = `An operator's command: ${tokenNotes}`
/** For the notes of commands that are a coordinator's alone. */
export const coordinatorNotes =
  'A coordinator enrolled as one (qflare enroll --kind coordinator), is assigned to the federation and has a session (qflare exchange).'
/** For the notes of commands about federations and their rounds. */
export const federationNotes = `With --state, or QFLARE_STATE, this is done by the coordinator of that file, which is assigned to the federation, with its own session (qflare exchange). Without, it is an operator's or coordinator's command: ${tokenNotes}`
export const auditorNotes = `An auditor's command, for an API token of role auditor or admin: ${tokenNotes}`

/** Throws `input_invalid`, `insecure_url`. */
export function serverOptions(flags: ServerFlags): { url: string; allowInsecureHttp: boolean } {
  const allowInsecureHttp = flags['insecure-http'] === true
  return { url: parseServerUrl(namedUrl(flags) ?? DEFAULT_URL, { allowInsecureHttp }), allowInsecureHttp }
}

export function statePath(flags: StateFlags): string {
  return flags.state ?? readVariable('QFLARE_STATE') ?? join(dataFolder(), 'device.json')
}

/** Throws `not_enrolled`, `state_unusable`, `state_sealed`, `input_invalid`, `insecure_url`. */
export async function openDeviceOf(flags: ServerFlags & StateFlags, crypto?: Primitives): Promise<QflareDevice> {
  return openDevice(deviceOptions(flags, { store: await openStateStore(statePath(flags)), crypto }))
}

/** The same with what it attests with, as it enrolled. */
export async function openAttestingDeviceOf(flags: ServerFlags & StateFlags): Promise<QflareDevice> {
  const store = await openStateStore(statePath(flags))
  return openDevice(
    deviceOptions(flags, { store, attesters: await openAttesters(store, { reports: reportsFolder() }) }),
  )
}

function deviceOptions(
  flags: ServerFlags,
  { store, crypto, attesters }: Pick<DeviceOptions, 'store' | 'crypto' | 'attesters'>,
): DeviceOptions {
  return { store, url: namedUrl(flags), allowInsecureHttp: flags['insecure-http'] === true, crypto, attesters }
}

/** With the token of the file that the environment names. Exit code 4 when there is none. */
export async function openOperatorOf(flags: ServerFlags): Promise<QflareOperator> {
  const server = serverOptions(flags)
  return openOperator({ ...server, apiToken: await readApiToken() })
}

/** With the API token of an operator or a coordinator. Exit code 4 when there is none. */
export async function openAttestationsOf(flags: ServerFlags): Promise<QflareAttestations> {
  return openAttestations({ ...serverOptions(flags), apiToken: await readApiToken() })
}

/** The same, for what the organization trusts and expects of evidence. */
export async function openInputsOf(flags: ServerFlags): Promise<QflareAttestationInputs> {
  const server = serverOptions(flags)
  return openAttestationInputs({ ...server, apiToken: await readApiToken() })
}

/** The same, for what the security monitor found. */
export async function openIncidentsOf(flags: ServerFlags): Promise<QflareIncidents> {
  const server = serverOptions(flags)
  return openIncidents({ ...server, apiToken: await readApiToken() })
}

/** As the coordinator whose state is named, or with the API token. Exit code 4 when there is neither. */
export async function openFederationsOf(flags: ServerFlags & StateFlags): Promise<QflareFederations> {
  if (isDeviceNamed(flags)) return (await openDeviceOf(flags)).federations()
  return openFederations({ ...serverOptions(flags), apiToken: await readApiToken() })
}

/** Whether somebody named the file of a device; the default one is nobody's choice. */
export function isDeviceNamed(flags: StateFlags): boolean {
  return flags.state !== undefined || readVariable('QFLARE_STATE') !== undefined
}

/** The same for an auditor. */
export async function openAuditorOf(flags: ServerFlags): Promise<QflareAuditor> {
  const server = serverOptions(flags)
  return openAuditor({ ...server, apiToken: await readApiToken(), crypto: await choosePrimitives() })
}

function readApiToken(): Promise<string> {
  return readSecretFile(readVariable('QFLARE_ADMIN_TOKEN_FILE') ?? defaultTokenFile(), 'API token')
}

/**
 * For a server that is named by an argument: undefined where there is no token for it. A token is not sent elsewhere because
 * somebody looks elsewhere: it is for the server of QFLARE_URL, or where there is no such, for the service of this machine. Exit
 * code 4.
 */
export async function findApiToken(url: string): Promise<string | undefined> {
  if (url !== parseServerUrl(readVariable('QFLARE_URL') ?? DEFAULT_URL, { allowInsecureHttp: true })) return undefined
  const isThere = readVariable('QFLARE_ADMIN_TOKEN_FILE') !== undefined || existsSync(defaultTokenFile())
  return isThere ? readApiToken() : undefined
}

function defaultTokenFile(): string {
  return join(dataFolder(), 'admin-token')
}

/** `what` names it in the message of the error, whose exit code is 4. */
export async function readSecretFile(path: string, what: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new CommandError(
      exitCodes.localState,
      `There is no ${what} to read at ${path} (${error.code ?? error.message}).`,
    )
  })
  const secret = text.trim()
  if (!/^[\x21-\x7e]{1,512}$/.test(secret)) {
    throw new CommandError(exitCodes.localState, `${path} does not hold one ${what} and nothing else.`)
  }
  return secret
}

/** Where the kernel is asked for reports, where that is not the folder of configfs-tsm: never from a file. */
export function reportsFolder(): string | undefined {
  return readVariable('QFLARE_TSM_REPORTS')
}

/** An empty variable is as good as none. */
export function readVariable(name: string): string | undefined {
  const value = process.env[name]
  return value === '' ? undefined : value
}

function namedUrl(flags: ServerFlags): string | undefined {
  return flags.url ?? readVariable('QFLARE_URL')
}

function dataFolder(): string {
  return readVariable('QFLARE_DATA_DIR') ?? '.qflare'
}
