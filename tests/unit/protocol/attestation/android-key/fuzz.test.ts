import { test } from 'vitest'
import { parseKeyDescription } from '../../../../../protocol/attestation/formats/android-key/key-description.ts'
import { parseStatusList } from '../../../../../protocol/attestation/formats/android-key/status-list.ts'
import { androidKey } from '../../../../../protocol/attestation/formats/android-key.ts'
import {
  androidEvidence,
  androidRoot,
  androidStatusList,
  enrollingAndroid,
  makeChain,
  makeIdentity,
} from '../../../../support/android-key/evidence.ts'
import { makeDescription } from '../../../../support/android-key/key-description.ts'
import { derLengthOf } from '../../../../support/der.ts'
import { FUZZ_TIMEOUT_MS, fuzz } from '../../../../support/fuzz.ts'
import { testKeyPair } from '../../../../support/x509-signing.ts'

const identity = makeIdentity()
const expected = { ...enrollingAndroid, identityKey: identity.identityKey }
const fresh = makeChain({ description: { attestationVersion: 500 } }).slice(0, -1)
const strongBox = makeChain({
  leafKey: testKeyPair('P-384', 'android leaf'),
  description: { attestationVersion: 300, attestationLevel: 2, keyMintLevel: 2 },
}).slice(0, -1)
const anchors = [androidRoot()]
const collateral = [androidStatusList()]

/** One after another: a certificate says how long it is. */
function split(bytes: Uint8Array): Uint8Array[] {
  const parts: Uint8Array[] = []
  for (let rest = bytes; rest.length > 0 && parts.length < 12; rest = rest.subarray(derLengthOf(rest))) {
    parts.push(rest.subarray(0, derLengthOf(rest)))
  }
  return parts
}

test('no mutation of a chain is taken, and each is refused as evidence', { timeout: FUZZ_TIMEOUT_MS }, () => {
  const seeds = [fresh, strongBox].map((chain) => Buffer.concat(chain))
  fuzz('android-key', seeds, (bytes) => {
    androidKey.parse(androidEvidence(split(bytes))).verify(anchors, enrollingAndroid, collateral)
  })
})

test('no mutation of the chain of an identity key is taken', { timeout: FUZZ_TIMEOUT_MS }, () => {
  fuzz('android-key, identity', [Buffer.concat(identity.chain.slice(0, -1))], (bytes) => {
    androidKey.parse(androidEvidence(fresh, split(bytes))).verify(anchors, expected, collateral)
  })
})

/** Nobody signs these for the test: what is read of them may be anything. */
const anything = () => new Uint8Array()

test('no mutation of what a phone signs is anything else than malformed', { timeout: FUZZ_TIMEOUT_MS }, () => {
  fuzz('android-key, description', [makeDescription()], parseKeyDescription, anything)
})

test('no mutation of a status list is anything else than malformed', { timeout: FUZZ_TIMEOUT_MS }, () => {
  const entries = { '2c8cdddfd5e03bfc': { status: 'REVOKED', reason: 'KEY_COMPROMISE' }, a1: { status: 'SUSPENDED' } }
  fuzz('android-status-list', [androidStatusList(entries).body], parseStatusList, anything)
})
