import { encode, u64, uuidToBytes } from '../../protocol/encoding.ts'
import { type Keyring, UnknownKeyError } from './keyring.ts'

/** What all kinds of rows have. Times are milliseconds since the Unix epoch. */
interface RowFacts {
  organizationId: string
  id: string
  format: string
  name: string
  createdAt: number
  removedAt: number | undefined
}

export interface TrustAnchorFacts extends RowFacts {
  kind: string
  lookupId: string
  der: Uint8Array
}

export interface ReferenceValueFacts extends RowFacts {
  /** Canonical JSON. */
  body: string
}

export interface CollateralFacts extends Omit<RowFacts, 'format'> {
  kind: string
  lookupId: string
  issuedAt: number
  nextUpdateAt: number | undefined
  /** SHA-256 of the body. */
  bodyHash: Uint8Array
  chain: readonly Uint8Array[]
}

/** What stands beside it, so that a writer of the database can neither swap what an organization trusts nor bring back what it removed. */
export function macTrustAnchor(keyring: Keyring, anchor: TrustAnchorFacts): { mac: Uint8Array; version: number } {
  return keyring.mac('identityMac', anchorMessage(anchor))
}

/** The same, of what an organization expects. */
export function macReferenceValue(keyring: Keyring, value: ReferenceValueFacts): { mac: Uint8Array; version: number } {
  return keyring.mac('identityMac', valueMessage(value))
}

/** The same, of what is published about evidence. */
export function macCollateral(keyring: Keyring, collateral: CollateralFacts): { mac: Uint8Array; version: number } {
  return keyring.mac('identityMac', collateralMessage(collateral))
}

interface Mac {
  mac: Uint8Array
  macKeyVersion: number
}

export function isTrustAnchorGenuine(keyring: Keyring, anchor: TrustAnchorFacts & Mac): Promise<boolean> {
  return isMac(keyring, anchorMessage(anchor), anchor)
}

export function isReferenceValueGenuine(keyring: Keyring, value: ReferenceValueFacts & Mac): Promise<boolean> {
  return isMac(keyring, valueMessage(value), value)
}

/** Its body is another question: whether it is that of the hash. */
export function isCollateralGenuine(keyring: Keyring, collateral: CollateralFacts & Mac): Promise<boolean> {
  return isMac(keyring, collateralMessage(collateral), collateral)
}

/** A MAC under a version that is not there is none: a version is destroyed only when no genuine MAC is under it. */
async function isMac(keyring: Keyring, message: Uint8Array, { mac, macKeyVersion }: Mac): Promise<boolean> {
  try {
    return await keyring.isMac('identityMac', macKeyVersion, message, mac)
  } catch (error) {
    if (error instanceof UnknownKeyError) return false
    throw error
  }
}

/** Labels of their own: the MAC of one thing is none of another. */
function anchorMessage({ kind, lookupId, der, ...row }: TrustAnchorFacts): Uint8Array {
  return encode('QFLARE-v1 trust anchor', ...rowParts(row), kind, lookupId, der)
}

function valueMessage({ body, ...row }: ReferenceValueFacts): Uint8Array {
  return encode('QFLARE-v1 reference value', ...rowParts(row), body)
}

function collateralMessage(facts: CollateralFacts): Uint8Array {
  const { kind, lookupId, issuedAt, nextUpdateAt = 0, bodyHash, chain, ...row } = facts
  const parts = [lookupId, u64(issuedAt), u64(nextUpdateAt), bodyHash, ...chain]
  return encode('QFLARE-v1 collateral', ...rowParts({ ...row, format: kind }), ...parts)
}

/** 0 stands for a row that is not removed: nothing was in 1970. */
function rowParts({ organizationId, id, format, name, createdAt, removedAt = 0 }: RowFacts) {
  return [uuidToBytes(organizationId), uuidToBytes(id), format, name, u64(createdAt), u64(removedAt)] as const
}
