import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { encode } from 'cborg'
import type { Attester } from '../client/attester.ts'
import { ALGORITHM, TAG_SIGN1 } from '../protocol/attestation/cbor/cose-signature.ts'
import { toBase64url } from '../protocol/encoding.ts'

/** The machine under one device of the demo. */
export interface SoftwareMachine {
  attester: Attester
  /** By which a verifier knows it: its instance ID and its public key, as `POST /v1/trust-anchors` takes them. */
  anchor: { instanceId: string; publicKey: string; name: string }
  /** What it boots from now on. */
  boot(firmware: Firmware): void
}

/** What was released, and what somebody made of it. */
export type Firmware = 'released' | 'tampered'

const ES256 = -7
const SECURED = 0x3000

/** RFC 9783 §4. */
const claim = {
  nonce: 10,
  instanceId: 256,
  profile: 265,
  bootSeed: 268,
  clientId: 2394,
  lifecycle: 2395,
  implementationId: 2396,
  components: 2399,
} as const
const part = { type: 1, measurement: 2, version: 4, signerId: 5 } as const

/** All machines of all demos are of one make, so that one reference value is that of every run. */
const implementationId = digestOf('machine of the QFLARE demo')
const signerId = digestOf('who signs its firmware')
const components = [
  { type: 'BL', version: '1.2.0', image: { released: 'boot loader 1.2.0', tampered: 'boot loader 1.2.0' } },
  { type: 'NSPE', version: '3.1.4', image: { released: 'application 3.1.4', tampered: 'application 3.1.4, patched' } },
]

/** What the release is measured as, for a verifier to hold tokens against. */
export const releasedFirmware = {
  implementationId: implementationId.toString('hex'),
  components: components.map(({ type, version, image }) => ({
    type,
    version,
    measurement: digestOf(image.released).toString('hex'),
    signerId: signerId.toString('hex'),
  })),
}

/**
 * A machine that exists in software alone. Its tokens are real, and verified like any: PSA attestation tokens (RFC 9783) that a key
 * of its own signs, over what it booted and what it is asked for. What no machine could say of itself in software is that nobody
 * else has this key.
 */
export function makeSoftwareMachine(name: string): SoftwareMachine {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const instanceId = Buffer.concat([Buffer.of(1), randomBytes(32)])
  let booted = { firmware: 'released' as Firmware, seed: randomBytes(32) }
  return {
    attester: {
      format: 'psa',
      collect: async (binding) => {
        const token = signToken(privateKey, tokenClaims({ ...booted, instanceId, binding }))
        return { format: 'psa', token: toBase64url(token) }
      },
    },
    anchor: {
      instanceId: instanceId.toString('hex'),
      publicKey: toBase64url(publicKey.export({ format: 'der', type: 'spki' })),
      name,
    },
    boot(firmware) {
      booted = { firmware, seed: randomBytes(32) }
    },
  }
}

function tokenClaims(machine: { firmware: Firmware; seed: Buffer; instanceId: Buffer; binding: Uint8Array }) {
  const measured = components.map(
    ({ type, version, image }) =>
      new Map<number, string | Buffer>([
        [part.type, type],
        [part.measurement, digestOf(image[machine.firmware])],
        [part.version, version],
        [part.signerId, signerId],
      ]),
  )
  return new Map<number, unknown>([
    [claim.nonce, machine.binding],
    [claim.instanceId, machine.instanceId],
    [claim.profile, 'tag:psacertified.org,2023:psa#tfm'],
    [claim.bootSeed, machine.seed],
    [claim.clientId, 1],
    [claim.lifecycle, SECURED],
    [claim.implementationId, implementationId],
    [claim.components, measured],
  ])
}

/** A COSE_Sign1 (RFC 9052 §4.2). */
function signToken(key: KeyObject, claims: Map<number, unknown>): Uint8Array {
  const header = encode(new Map([[ALGORITHM, ES256]]))
  const payload = encode(claims)
  const signed = encode(['Signature1', header, new Uint8Array(), payload])
  const signature = sign('sha256', signed, { key, dsaEncoding: 'ieee-p1363' })
  return Buffer.concat([Buffer.of(TAG_SIGN1), encode([header, new Map(), payload, signature])])
}

function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
