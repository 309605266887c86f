import { encode, u64, uuidToBytes } from '../../protocol/encoding.ts'
import { type Keyring, UnknownKeyError } from './keyring.ts'

/** What both kinds of rows have. Times are milliseconds since the Unix epoch. */
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

/** What stands beside it, so that a writer of the database can neither swap what an organization trusts nor bring back what it removed. */
export function macTrustAnchor(keyring: Keyring, anchor: TrustAnchorFacts): { mac: Uint8Array; version: number } {
  return keyring.mac('identityMac', anchorMessage(anchor))
}

/** The same, of what an organization expects. */
export function macReferenceValue(keyring: Keyring, value: ReferenceValueFacts): { mac: Uint8Array; version: number } {
  return keyring.mac('identityMac', valueMessage(value))
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

/** 0 stands for a row that is not removed: nothing was in 1970. */
function rowParts({ organizationId, id, format, name, createdAt, removedAt = 0 }: RowFacts) {
  return [uuidToBytes(organizationId), uuidToBytes(id), format, name, u64(createdAt), u64(removedAt)] as const
}
