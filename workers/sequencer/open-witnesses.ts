import { ProtocolError } from '../../protocol/errors.ts'
import { parseVerifierKey } from '../../protocol/log/verifier-key.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { ConfigError } from '../../runtime/config.ts'
import type { WitnessSetting } from '../../runtime/witness-setting.ts'
import type { WitnessAddress } from './ask-witness.ts'

/** The witnesses of the settings. `origin` is the log's name. Throws ConfigError. */
export function openWitnesses(
  crypto: Primitives,
  settings: readonly WitnessSetting[],
  origin: string,
): WitnessAddress[] {
  const seen = new Set<string>()
  return settings.map(({ vkey, url }, index) => {
    const refuse = (problem: string): never => {
      throw new ConfigError([`QFLARE_WITNESSES.${index}: ${problem}`])
    }
    const key = parseKey(crypto, vkey, refuse)
    if (key.kind !== 'cosignature') return refuse('is no key of a witness: it cosigns with ML-DSA-44.')
    if (key.name === origin) return refuse(`has the name of this log, ${origin}: a witness has one of its own.`)
    // Its cosignatures are kept by its name.
    if (seen.has(key.name)) return refuse(`names the witness ${key.name} a second time.`)
    seen.add(key.name)
    return { url, key }
  })
}

function parseKey(crypto: Primitives, vkey: string, refuse: (problem: string) => never) {
  try {
    return parseVerifierKey(crypto, vkey)
  } catch (error) {
    if (error instanceof ProtocolError) return refuse(error.message)
    throw error
  }
}
