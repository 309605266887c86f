import { z } from 'zod'
import type { CredentialAnswer } from '../../protocol/attestation/messages.ts'
import { toBase64url } from '../../protocol/encoding.ts'
import type { Attester, EvidenceJson } from '../attester.ts'
import { QflareError } from '../errors.ts'
import { parseInput } from '../parse-input.ts'
import { readAtMost } from '../read-at-most.ts'
import { akTypes, DEFAULT_AK_HANDLE, findOrMakeAk, getAk } from './attestation-key.ts'
import { openCredential } from './credential.ts'
import { type EkCertificate, ekTypes, loadEk, readEkCertificate } from './endorsement-key.ts'
import { pcrBanks, quotePcrs } from './quote.ts'
import { toStoredTcti } from './stored-tcti.ts'
import { type TpmTools, withTpmTools } from './tools.ts'

/** What Linux keeps of the firmware's log; for root alone, unless somebody lets others read it. */
const SYSTEM_EVENT_LOG = '/sys/kernel/security/tpm0/binary_bios_measurements'
/** Of docs/attestation-formats.md. */
const MAX_EVENT_LOG_BYTES = 256 * 1024
const MAX_CHAIN = 4
/** What the first event of a log in the crypto agile form says; others are of TPM 1.2. */
const AGILE_LOG = 'Spec ID Event03'

/** Firmware, its settings, option ROMs and secure boot (TCG PC Client Platform Firmware Profile). */
export const DEFAULT_PCRS = [0, 1, 2, 3, 4, 5, 6, 7]

const handle = z
  .string()
  .regex(/^0x81[0-7][0-9a-f]{5}$/i, 'A persistent handle of the owner: 0x81000000 to 0x817fffff.')
  .transform((text) => text.toLowerCase())

export const pcrIndices = z
  .array(z.int().min(0).max(23))
  .min(1)
  .max(24)
  .refine((indices) => new Set(indices).size === indices.length, 'Each once.')

const tpmOptions = z.strictObject({
  tcti: z.string().min(1).max(256).optional(),
  akHandle: handle.default(DEFAULT_AK_HANDLE),
  akType: z.enum(akTypes).optional(),
  ekType: z.enum(ekTypes).optional(),
  ekIndex: z.string().max(16).optional(),
  pcrs: pcrIndices.default(DEFAULT_PCRS),
  banks: z.array(z.enum(pcrBanks)).min(1).max(2).default(['sha256']),
  eventLog: z.union([z.string().min(1).max(4096), z.literal(false)]).optional(),
})

export interface TpmAttesterOptions {
  /** As for tpm2-tools: `device:/dev/tpmrm0`, `swtpm:path=…`. Default: theirs, which is TPM2TOOLS_TCTI or the TPM of this machine. */
  tcti?: string | undefined
  /** Where the attestation key stays in the TPM, in hexadecimal. Default: 0x8100f1a0. */
  akHandle?: string | undefined
  /** Of an attestation key that is made: RSA-2048 with RSASSA, or P-256 with ECDSA. Default: `rsa`, and whatever is there already. */
  akType?: (typeof akTypes)[number] | undefined
  /** Which endorsement key, of a TPM that has certificates of several. Default: RSA-2048, then P-256, then others. */
  ekType?: (typeof ekTypes)[number] | undefined
  /** The same by the place of its certificate in NV, in hexadecimal: `0x1c00016`. */
  ekIndex?: string | undefined
  /** Default: 0 to 7. */
  pcrs?: number[] | undefined
  /** Default: `sha256`. */
  banks?: (typeof pcrBanks)[number][] | undefined
  /** The firmware's log, which says what the PCRs were extended with. Default: this machine's, where it can be read and no `tcti` is given. */
  eventLog?: string | false | undefined
}

/**
 * Evidence of a TPM 2.0 through tpm2-tools, which have to be installed (Node alone). The attestation key is made at the enrolment
 * and stays in the TPM. Throws `input_invalid`, `tpm_unavailable` where there is no TPM to be used; what it is asked for later may
 * throw `tpm_refused` besides.
 */
export async function openTpmAttester(options: TpmAttesterOptions = {}): Promise<Attester> {
  const attester = createTpmAttester(options)
  await withTpmTools(options.tcti, (tools) => tools.run('getcap', 'properties-fixed'))
  return attester
}

/** The same without a look whether there is a TPM. */
export function createTpmAttester(options: TpmAttesterOptions): Attester {
  const { tcti, akHandle, akType, ekType, ekIndex, pcrs, banks, ...given } = parseInput(tpmOptions, options)
  const ekWish = { index: ekIndex, type: ekType }
  const eventLog = given.eventLog ?? (tcti === undefined ? SYSTEM_EVENT_LOG : false)
  const use = <T>(work: (tools: TpmTools) => Promise<T>) => withTpmTools(tcti, work)
  const storedTcti = toStoredTcti(tcti)
  // Where its TPM is not stored, the log of this machine is not to be taken for that TPM's later.
  const settings = withoutUndefined({ tcti: storedTcti, eventLog: tcti === storedTcti ? given.eventLog : eventLog })
  return {
    format: 'tpm2',
    settings: { akHandle, pcrs, banks, ...settings },
    credentialRequest: () =>
      use(async (tools) => {
        const certificate = await readEkCertificate(tools, ekWish)
        const ek = await loadEk(tools, certificate)
        const ak = await findOrMakeAk(tools, ek, { handle: akHandle, type: akType })
        return { ...certificateParts(certificate), akPublic: toBase64url(ak.bytes) }
      }),
    // The certificate goes with the enrolment alone: afterwards the server knows the key.
    activate: (credential: CredentialAnswer) =>
      use(async (tools) => {
        const certificate = await readEkCertificate(tools, ekWish)
        const ek = await loadEk(tools, certificate)
        const secret = await openCredential(tools, { ek, ak: akHandle }, credential)
        return { ...certificateParts(certificate), activatedSecret: toBase64url(secret) }
      }),
    collect: (binding) =>
      use(async (tools) => {
        const ak = await getAk(tools, akHandle)
        const { message, signature, pcrs: values } = await quotePcrs(tools, akHandle, binding, { pcrs, banks })
        return {
          format: 'tpm2',
          akPublic: toBase64url(ak.bytes),
          quote: toBase64url(message),
          signature: toBase64url(signature),
          pcrs: values,
          ...(await readEventLog(eventLog, { isRequired: given.eventLog !== undefined })),
        }
      }),
  }
}

function certificateParts({ certificate, chain }: EkCertificate): EvidenceJson {
  const ekChain = chain.slice(0, MAX_CHAIN).map(toBase64url)
  return { ekCertificate: toBase64url(certificate), ...(ekChain.length === 0 ? {} : { ekChain }) }
}

async function readEventLog(path: string | false, { isRequired }: { isRequired: boolean }): Promise<EvidenceJson> {
  if (path === false) return {}
  try {
    const bytes = await readAtMost(path, MAX_EVENT_LOG_BYTES)
    // The path may be one that a state names: nothing else than a log leaves the machine.
    if (Buffer.from(bytes.subarray(0, 128)).includes(AGILE_LOG)) return { eventLog: toBase64url(bytes) }
    if (!isRequired) return {}
    throw new Error(`${path} is no log in the crypto agile form of TPM 2.0`)
  } catch (cause) {
    if (!isRequired) return {}
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new QflareError('tpm_unavailable', `The event log cannot be read (${reason}).`, { cause })
  }
}

function withoutUndefined(members: Record<string, string | false | undefined>): EvidenceJson {
  return Object.fromEntries(
    Object.entries(members).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
}
