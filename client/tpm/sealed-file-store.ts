import { z } from 'zod'
import { canonicalJson, type Json } from '../../protocol/encoding.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { choosePrimitives } from '../../protocol/primitives/choose.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { bytes, bytesWithin } from '../../protocol/wire.ts'
import { type DeviceStore, parseStoredForm, toStoredForm } from '../device-state.ts'
import { QflareError } from '../errors.ts'
import { createEncodedFileStore } from '../file-store.ts'
import { parseInput } from '../parse-input.ts'
import type { StateCodec } from '../state-codec.ts'
import { pcrBanks } from './quote.ts'
import { sealToPcrs, unsealFromPcrs } from './seal.ts'
import { fromStoredTcti, toStoredTcti } from './stored-tcti.ts'
import { withTpmTools } from './tools.ts'
import { pcrIndices } from './tpm-attester.ts'

/** Firmware, option ROMs, secure boot: what an update of the operating system leaves alone. */
export const DEFAULT_SEAL_PCRS = [0, 2, 7]

const tcti = z.string().min(1).max(256).optional()
const banks = z.array(z.enum(pcrBanks)).min(1).max(2)
const sealOptions = z.strictObject({
  tcti,
  pcrs: pcrIndices.default(DEFAULT_SEAL_PCRS),
  banks: banks.default(['sha256']),
})

const sealedKey = z.strictObject({
  by: z.literal('tpm2'),
  tcti,
  pcrs: pcrIndices,
  banks,
  publicArea: bytesWithin(1, 1024),
  privateArea: bytesWithin(1, 1024),
})
type SealedKey = z.output<typeof sealedKey>

const sealedState = z.strictObject({
  version: z.literal(1),
  /** The key of the state, as the TPM gives it out. */
  sealed: sealedKey,
  nonce: bytes(12),
  /** The state in its stored form, under AES-256-GCM; what stands beside it is additional data. */
  ciphertext: bytesWithin(17, 1024 * 1024),
})

export interface SealOptions {
  /** As for tpm2-tools. Default: what the state says, otherwise theirs. */
  tcti?: string | undefined
  /** Of a state that is made. Default: 0, 2 and 7. */
  pcrs?: number[] | undefined
  /** Of a state that is made. Default: `sha256`. */
  banks?: (typeof pcrBanks)[number][] | undefined
}

/**
 * As `createFileStore`, with the whole state encrypted under a key that the TPM gives out only while its PCRs are as they were when
 * the state was made. The first use in a process asks the TPM; from then on the key is in the memory of the process. Throws
 * `input_invalid`; its methods `state_sealed`, `tpm_unavailable` and `tpm_refused` besides.
 */
export async function createSealedFileStore(path: string, options: SealOptions = {}): Promise<DeviceStore> {
  return createEncodedFileStore(path, createSealedCodec(await choosePrimitives(), options))
}

export function createSealedCodec(crypto: Primitives, options: SealOptions): StateCodec {
  const given = parseInput(sealOptions, options)
  let held: { sealed: SealedKey; key: Uint8Array } | undefined
  const makeKey = async () => {
    const key = crypto.randomBytes(32)
    const object = await withTpmTools(given.tcti, async (tools) => {
      const made = await sealToPcrs(tools, key, given)
      await unsealFromPcrs(tools, made, given)
      return made
    })
    return { sealed: { by: 'tpm2' as const, ...given, tcti: toStoredTcti(given.tcti), ...object }, key }
  }
  const unseal = async (sealed: SealedKey) => {
    if (held !== undefined && crypto.equal(held.sealed.privateArea, sealed.privateArea)) return held.key
    const key = await withTpmTools(given.tcti ?? fromStoredTcti(sealed.tcti), (tools) =>
      unsealFromPcrs(tools, sealed, sealed),
    )
    held = { sealed, key }
    return key
  }
  return {
    async prepare() {
      held ??= await makeKey()
    },
    async encode(state) {
      held ??= await makeKey()
      const { sealed, key } = held
      const nonce = crypto.randomBytes(12)
      const plaintext = new TextEncoder().encode(toStoredForm(state))
      const ciphertext = crypto.sealAesGcm(key, nonce, plaintext, additionalData(sealed))
      plaintext.fill(0)
      return `${JSON.stringify(z.encode(sealedState, { version: 1, sealed, nonce, ciphertext }), null, 2)}\n`
    },
    async decode(text) {
      const { sealed, nonce, ciphertext } = parseSealedState(text)
      const key = await unseal(sealed)
      const plaintext = open(crypto, key, { sealed, nonce, ciphertext })
      const state = parseStoredForm(new TextDecoder().decode(plaintext))
      plaintext.fill(0)
      return state
    },
  }
}

function open(
  crypto: Primitives,
  key: Uint8Array,
  { sealed, nonce, ciphertext }: Pick<z.output<typeof sealedState>, 'sealed' | 'nonce' | 'ciphertext'>,
): Uint8Array {
  try {
    return crypto.openAesGcm(key, nonce, ciphertext, additionalData(sealed))
  } catch (cause) {
    if (!(cause instanceof ProtocolError)) throw cause
    throw new QflareError('state_unusable', 'The sealed state is damaged, or was changed.', { cause })
  }
}

function additionalData(sealed: SealedKey): Uint8Array {
  // Through its text, in which what is undefined is not there.
  const written = JSON.parse(JSON.stringify(z.encode(sealedKey, sealed))) as Json
  return new TextEncoder().encode(canonicalJson({ version: 1, sealed: written }))
}

function parseSealedState(text: string): z.output<typeof sealedState> {
  try {
    return sealedState.parse(JSON.parse(text))
  } catch (cause) {
    throw new QflareError('state_unusable', 'This is no sealed state, or one of another version of QFLARE.', { cause })
  }
}
