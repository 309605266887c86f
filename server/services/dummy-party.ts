import type { ExchangeParty } from '../../database/repositories/exchanges.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { signatureAlgorithmNames, signatureAlgorithms } from '../../protocol/suites.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'

/**
 * What an unknown device is taken for, and one whose key cannot have made a signature of this length, so that both cost the
 * same MAC, import and verification: a key of the algorithm that has this length, whose private half nobody has.
 */
export function makeDummyParty(
  crypto: Primitives,
  keyring: Keyring,
): (signatureBytes: number) => Pick<ExchangeParty, 'organizationId' | 'principal'> {
  const parties = signatureAlgorithmNames.map((alg) => {
    const seed = crypto.randomBytes(32)
    const { publicKey } = crypto.importSigningKey(alg, seed)
    seed.fill(0)
    const identityKey = {
      kid: '',
      alg,
      publicKey,
      mac: new Uint8Array(32),
      // Of one that is there, as a device's would be, whatever has rotated since.
      get macKeyVersion() {
        return keyring.activeVersion('identityMac')
      },
    }
    const session = { activeSessionId: undefined, pendingSessionIds: [], keyGeneration: 1 }
    const principal = {
      id: NIL_UUID,
      kind: 'device',
      status: 'ACTIVE',
      ...session,
      policyId: 'none',
      slowedUntil: undefined,
      identityKey,
    } as const
    return { organizationId: NIL_UUID, principal }
  })
  const byLength = new Map<number, (typeof parties)[number]>(
    parties.map((party) => [signatureAlgorithms[party.principal.identityKey.alg].signatureBytes, party]),
  )
  return (signatureBytes) => byLength.get(signatureBytes) as (typeof parties)[number]
}
