import { derBoolean, derEnumerated, derInteger, derNull, derOctets, derSequence, derSet, derTagged } from '../der.ts'

/** By tag; `undefined` leaves a value out. What is given is written as it is. */
export type Authorizations = Record<number, Uint8Array | undefined>

/** One fault at a time: what is not given is as it should be. */
export interface DescriptionChanges {
  attestationVersion?: number
  attestationLevel?: number
  keyMintVersion?: number
  keyMintLevel?: number
  challenge?: Uint8Array
  uniqueId?: Uint8Array
  software?: Authorizations
  hardware?: Authorizations
  /** Of the entries of the hardware's list, before they are written. */
  changeOrder?: (entries: Buffer[]) => Uint8Array[]
  /** Behind the parts. */
  end?: Uint8Array
}

export const androidBinding = Buffer.alloc(32, 0xb1)
export const androidBootKey = Buffer.alloc(32, 0xbb)
export const androidSigner = Buffer.alloc(32, 0x51)
export const androidPackage = 'org.example.edge'
export const androidModules = Buffer.alloc(32, 0x3d)

export interface RootOfTrustChanges {
  key?: Uint8Array
  locked?: Uint8Array
  state?: number
  hash?: Uint8Array | undefined
  end?: Uint8Array
}

export function rootOfTrust(changes: RootOfTrustChanges = {}): Buffer {
  const { key = androidBootKey, locked = derBoolean(true), state = 0, end = Buffer.alloc(0) } = changes
  const hash = 'hash' in changes ? changes.hash : Buffer.alloc(32, 0x4a)
  return derSequence(derOctets(key), locked, derEnumerated(state), ...(hash ? [derOctets(hash)] : []), end)
}

export function applicationId(
  packages: readonly (readonly [name: string, version: number])[] = [[androidPackage, 7]],
  signers: readonly Uint8Array[] = [androidSigner],
): Buffer {
  const infos = packages.map(([name, version]) => derSequence(derOctets(Buffer.from(name)), derInteger(version)))
  return derOctets(derSequence(derSet(...infos), derSet(...signers.map((one) => derOctets(one)))))
}

/** What a TEE says of a key on P-256 that was made to sign. */
const hardwareList: Authorizations = {
  1: derSet(derInteger(2)),
  2: derInteger(3),
  3: derInteger(256),
  5: derSet(derInteger(4)),
  10: derInteger(1),
  503: derNull,
  702: derInteger(0),
  704: rootOfTrust(),
  705: derInteger(160_000),
  706: derInteger(202_610),
  716: derOctets(Buffer.from('Example')),
  718: derInteger(20_261_005),
  719: derInteger(20_261_001),
}
const softwareList: Authorizations = {
  701: derInteger(1_795_000_000_000),
  709: applicationId(),
  724: derOctets(androidModules),
}

export function makeDescription(changes: DescriptionChanges = {}): Buffer {
  const { attestationVersion = 400, attestationLevel = 1, keyMintLevel = 1 } = changes
  const { keyMintVersion = attestationVersion, challenge = androidBinding } = changes
  const { changeOrder = (entries) => entries, uniqueId = Buffer.alloc(0), end = Buffer.alloc(0) } = changes
  return derSequence(
    derInteger(attestationVersion),
    derEnumerated(attestationLevel),
    derInteger(keyMintVersion),
    derEnumerated(keyMintLevel),
    derOctets(challenge),
    derOctets(uniqueId),
    derSequence(...toEntries({ ...softwareList, ...changes.software })),
    derSequence(...changeOrder(toEntries({ ...hardwareList, ...changes.hardware }))),
    end,
  )
}

/** Numbers are in order among the keys of an object. */
function toEntries(list: Authorizations): Buffer[] {
  return Object.entries(list).flatMap(([tag, value]) => (value === undefined ? [] : [derTagged(Number(tag), value)]))
}
