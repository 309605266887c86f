import { constants, type KeyObject, sign } from 'node:crypto'
import { type KeyKind, testKeyPair } from '../x509-signing.ts'
import {
  type AttestParts,
  hashOf,
  type PublicParts,
  type TestSelection,
  type TpmHash,
  tpm2b,
  tpmHashes,
  tpmName,
  tpmSchemes,
  u16,
  u32,
  writeAttest,
  writePublic,
  writeSelections,
} from './structures.ts'

export const ekKinds = ['RSA-2048', 'P-256', 'P-384'] as const
export type EkKind = (typeof ekKinds)[number]

export interface AkKind {
  key: 'RSA-1024' | 'RSA-2048' | 'RSA-3072' | 'P-256' | 'P-384'
  scheme: 'rsassa' | 'rsapss' | 'ecdsa'
  hash: TpmHash
  nameHash: TpmHash
}

const key = (kind: string, name: string) => testKeyPair(kind as KeyKind, name)
const nothing = Buffer.alloc(0)
const NULL = u16(tpmSchemes.null)
/** The EK profile's policies, as they are published. */
const policies = {
  low: '837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa',
  high: 'ca3d0a99a2b93906f7a3342414efcfb3a385d44cd1fd459089d19b5071c0b7a0',
  p384: 'b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4cb1c0ad9bde419cacb47ba09699646150f9fc000f3f80e12',
}
export const EK_ATTRIBUTES = { low: 0x000300b2, high: 0x000300f2 }
/** What tpm2_createak gives: fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, restricted, sign. */
export const AK_ATTRIBUTES = 0x00050072

function keyParts(publicKey: KeyObject): Pick<PublicParts, 'type' | 'parameters' | 'unique'> {
  const jwk = publicKey.export({ format: 'jwk' })
  const bytes = (text = '') => Buffer.from(text, 'base64url')
  if (jwk.kty === 'RSA') {
    const modulus = bytes(jwk.n)
    return { type: 1, parameters: Buffer.concat([u16(modulus.length * 8), u32(0)]), unique: tpm2b(modulus) }
  }
  const curve = u16(jwk.crv === 'P-256' ? 3 : 4)
  return {
    type: 0x23,
    parameters: Buffer.concat([curve, NULL]),
    unique: Buffer.concat([tpm2b(bytes(jwk.x)), tpm2b(bytes(jwk.y))]),
  }
}

/** TPMT_PUBLIC of an EK of the default templates. */
export function ekArea(kind: EkKind, range: 'low' | 'high', name = 'EK'): Buffer {
  const isP384 = kind === 'P-384'
  const attributes = isP384 ? EK_ATTRIBUTES.high : EK_ATTRIBUTES[range]
  return writePublic({
    ...keyParts(key(kind, name).publicKey),
    nameHash: isP384 ? tpmHashes.sha384 : tpmHashes.sha256,
    attributes,
    policy: Buffer.from(policies[isP384 ? 'p384' : range], 'hex'),
    symmetric: Buffer.concat([u16(6), u16(isP384 ? 256 : 128), u16(0x43)]),
    scheme: NULL,
    behind: nothing,
  })
}

export interface SoftwareTpmOptions {
  ek: EkKind
  range?: 'low' | 'high'
  ak: AkKind
  /** Where the AK is made: under the EK, or as a key of its own in the endorsement hierarchy. */
  parent?: 'ek' | 'endorsement'
  /** Other keys of the same kinds. */
  name?: string
  changeAk?: Partial<PublicParts>
}

export type TestPcrs = Partial<Record<'sha256' | 'sha384', Record<string, string>>>

export interface QuoteOptions {
  binding: Uint8Array
  pcrs: TestPcrs
  changes?: Partial<AttestParts>
  /** Scheme and hash that the signature names and is made with. */
  signing?: Partial<Pick<AkKind, 'scheme' | 'hash'>>
  signingKey?: KeyObject
  /** Of RSAPSS, in bytes. */
  saltLength?: number
  /** Of ECDSA: r begins with a zero, which is left away. */
  shortR?: boolean
  /** Of the signature's value: bytes, or r and s. */
  changeValue?: (value: Buffer) => Buffer
}

/** What a TPM does, with keys that tests know: it signs what it is told to. */
export interface SoftwareTpm {
  options: SoftwareTpmOptions
  ekPrivate: KeyObject
  ekPublic: KeyObject
  ekHash: TpmHash
  /** TPMT_PUBLIC. */
  akArea: Buffer
  akName: Buffer
  qualifiedName: Buffer
  quote(options: QuoteOptions): { quote: Buffer; signature: Buffer; pcrs: TestPcrs }
}

export function makeSoftwareTpm(options: SoftwareTpmOptions): SoftwareTpm {
  const { ek: kind, range = 'low', ak, parent = 'ek', name = '', changeAk } = options
  const ek = key(kind, `EK${name}`)
  const pair = key(ak.key, `AK${name}`)
  const ekHash = kind === 'P-384' ? 'sha384' : 'sha256'
  const akArea = writePublic({
    ...keyParts(pair.publicKey),
    nameHash: tpmHashes[ak.nameHash],
    attributes: AK_ATTRIBUTES,
    policy: nothing,
    symmetric: NULL,
    scheme: Buffer.concat([u16(tpmSchemes[ak.scheme]), u16(tpmHashes[ak.hash])]),
    behind: nothing,
    ...changeAk,
  })
  const akName = tpmName(ak.nameHash, akArea)
  const endorsement = u32(0x4000_000b)
  const parentName =
    parent === 'ek' ? tpmName(ekHash, endorsement, tpmName(ekHash, ekArea(kind, range, `EK${name}`))) : endorsement
  const qualifiedName = tpmName(ak.nameHash, parentName, akName)
  return {
    options,
    ekPrivate: ek.privateKey,
    ekPublic: ek.publicKey,
    ekHash,
    akArea,
    akName,
    qualifiedName,
    quote: (given) => quoteWith({ ak, pair, qualifiedName }, given),
  }
}

/** In the order of the banks as they are given. */
export function digestOfPcrs(hash: TpmHash, pcrs: TestPcrs): Buffer {
  const values = Object.values(pcrs).flatMap((bank) => Object.values(bank))
  return hashOf(hash, ...values.map((value) => Buffer.from(value, 'hex')))
}

export function selectionsOf(pcrs: TestPcrs): TestSelection[] {
  return Object.entries(pcrs).map(([bank, values]) => {
    return { bank: tpmHashes[bank as TpmHash], pcrs: Object.keys(values).map(Number) }
  })
}

function quoteWith(
  { ak, pair, qualifiedName }: { ak: AkKind; pair: { privateKey: KeyObject }; qualifiedName: Buffer },
  given: QuoteOptions,
) {
  const { binding, pcrs, changes, signingKey = pair.privateKey, changeValue = (value) => value } = given
  const { scheme, hash } = { ...ak, ...given.signing }
  const quote = writeAttest({
    magic: 0xff544347,
    type: 0x8018,
    qualifiedSigner: qualifiedName,
    extraData: binding,
    clock: 60_000,
    resetCount: 3,
    restartCount: 0,
    safe: 1,
    firmwareVersion: Buffer.from('2019102300163636', 'hex'),
    selections: writeSelections(selectionsOf(pcrs)),
    pcrDigest: digestOfPcrs(ak.hash, pcrs),
    behind: nothing,
    ...changes,
  })
  const signed = () => changeValue(signWith(quote, { scheme, hash, key: signingKey, saltLength: given.saltLength }))
  let value = signed()
  while (given.shortR === true && value[0] !== 0) value = signed()
  const half = value.length / 2
  const parts =
    scheme === 'ecdsa' ? [value.subarray(given.shortR === true ? 1 : 0, half), value.subarray(half)] : [value]
  const signature = Buffer.concat([u16(tpmSchemes[scheme]), u16(tpmHashes[hash]), ...parts.map((part) => tpm2b(part))])
  return { quote, signature, pcrs }
}

function signWith(
  bytes: Buffer,
  how: Pick<AkKind, 'scheme' | 'hash'> & { key: KeyObject; saltLength: number | undefined },
): Buffer {
  const { scheme, hash, key, saltLength = constants.RSA_PSS_SALTLEN_DIGEST } = how
  if (scheme === 'ecdsa') return sign(hash, bytes, { key, dsaEncoding: 'ieee-p1363' })
  if (scheme === 'rsassa') return sign(hash, bytes, key)
  return sign(hash, bytes, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength })
}
