import { test } from 'vitest'
import { sevSnp } from '../../../../protocol/attestation/formats/sev-snp.ts'
import { fromBase64url, toBase64url } from '../../../../protocol/encoding.ts'
import { FUZZ_TIMEOUT_MS, fuzz } from '../../../support/fuzz.ts'
import { makeSevSnp } from '../../../support/sev-snp/evidence.ts'

const seeds = [
  makeSevSnp({ version: 2 }),
  makeSevSnp({ product: 'Genoa', signingKey: 'vlek' }),
  makeSevSnp({ product: 'Turin', version: 5 }),
]
const bytesOf = (member: 'report' | 'vek') =>
  seeds.map(({ evidence }) => Buffer.from(fromBase64url(evidence[member] as string)))

test.each(['report', 'vek'] as const)(
  'no mutation of a %s is taken, and each is refused as evidence',
  {
    timeout: FUZZ_TIMEOUT_MS,
  },
  (member) => {
    fuzz(`sev-snp ${member}`, bytesOf(member), (bytes, index) => {
      const { evidence, anchors, expected } = seeds[index] as (typeof seeds)[number]
      sevSnp.parse({ ...evidence, [member]: toBase64url(bytes) }).verify(anchors, expected)
    })
  },
)
