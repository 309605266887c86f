import type { CollateralKind } from '../../protocol/attestation/evidence-format.ts'
import { parseJson } from './anchor-files.ts'
import { unusable } from './regular-file.ts'

/** By the member that its JSON has. */
const kindsOfJson: Readonly<Record<string, { kind: CollateralKind; wantsChain: boolean }>> = {
  tcbInfo: { kind: 'tdx-tcb-info', wantsChain: true },
  enclaveIdentity: { kind: 'tdx-qe-identity', wantsChain: true },
  entries: { kind: 'android-status-list', wantsChain: false },
}

/** What a file holds, by its bytes. Exit code 4 for what is none of it. */
export function recognizeCollateral(path: string, bytes: Buffer): { kind: CollateralKind; wantsChain: boolean } {
  if (bytes[0] === 0x30 || bytes.includes('-----BEGIN X509 CRL-----')) return { kind: 'crl', wantsChain: false }
  if (/^\s*\{/.test(bytes.subarray(0, 64).toString('latin1'))) {
    const json = parseJson(path, bytes.toString('utf8')) as object
    const [found] = Object.entries(kindsOfJson).filter(([member]) => Object.hasOwn(json, member))
    if (found !== undefined) return found[1]
  }
  throw unusable(`${path} is no collateral that is known here: no revocation list, and no JSON of a vendor.`)
}
