import type { Json } from '../../encoding.ts'
import type { Reference } from './comid.ts'
import { readSha384 } from './digests.ts'
import { type ClassId, readClassId } from './environment.ts'
import type { Omissions } from './omissions.ts'
import { corimInvalid, readList } from './read-members.ts'

/** Guests whose reports are signed by the key of a chip, or by that of a cloud: as -02 has them, and as UUIDs as drafts between them do. */
const classIds: ReadonlyMap<ClassId, string> = new Map([
  // 1.3.6.1.4.1.3704.3.1 and 1.3.6.1.4.1.3704.3.2
  ['111:2b060104019c780301', 'VCEK'],
  ['111:2b060104019c780302', 'VLEK'],
  ['37:d05e6d1b9f464ae2a610ce3e6ee7e153', 'VCEK'],
  ['37:89a7a1f0e7044faaacbd81c86df8a961', 'VLEK'],
])

/** Fields of a report by the keys that the profile gives them. */
const MEASUREMENT = 641
const fields: ReadonlyMap<unknown, string> = new Map([
  [0, 'VERSION'],
  [1, 'GUEST_SVN'],
  [2, 'POLICY'],
  [3, 'FAMILY_ID'],
  [4, 'IMAGE_ID'],
  [5, 'VMPL'],
  [6, 'CURRENT_TCB'],
  [7, 'PLATFORM_INFO'],
  [640, 'REPORT_DATA'],
  [642, 'HOST_DATA'],
  [643, 'ID_KEY_DIGEST'],
  [644, 'AUTHOR_KEY_DIGEST'],
  [645, 'REPORT_ID'],
  [646, 'REPORT_ID_MA'],
  [647, 'REPORTED_TCB'],
  [648, 'CPUID_FAM_ID'],
  [649, 'CPUID_MOD_ID'],
  [650, 'CPUID_STEP'],
  [3328, 'CHIP_ID'],
  [3329, 'COMMITTED_TCB'],
  [3330, 'CURRENT_VERSION'],
  [3936, 'COMMITTED_VERSION'],
  [3968, 'LAUNCH_TCB'],
])

/** All references together are the one reference value of `sev-snp`, an image (draft-deeglaze-amd-sev-snp-corim-profile). Throws `corim_invalid`. */
export function toSevSnpValues(references: readonly Reference[], omissions: Omissions): Json[] {
  const measurements = references.map((reference) => toMeasurement(reference, omissions))
  return measurements.length === 0 ? [] : [{ measurements: [...new Set(measurements)] }]
}

function toMeasurement({ where, environment, measurements }: Reference, omissions: Omissions): string {
  const key = classIds.get(readClassId(environment, `${where}.ref-env`, [], omissions))
  if (key === undefined) throw corimInvalid(`${where}.ref-env.class.class-id is none of a guest on SEV-SNP.`)
  omissions.inform(
    `${where}.ref-env.class.class-id: of reports that a ${key} signs; signingKeys of a policy says which are taken`,
  )
  const [found, ...more] = measurements.filter(({ mkey }) => mkey === MEASUREMENT)
  if (found === undefined || more.length > 0)
    throw corimInvalid(`${where} has not one MEASUREMENT (mkey ${MEASUREMENT}).`)
  for (const { where: place, mkey } of measurements) {
    if (mkey === MEASUREMENT) continue
    const field = fields.get(mkey)
    if (field === undefined) throw corimInvalid(`${place}.mkey is no field of a report.`)
    omissions.narrow(`${place}: ${field} of the report`)
  }
  const { digests, ...others } = found.values
  for (const member of Object.keys(others)) omissions.narrow(`${found.where}.mval.${member}: beside the MEASUREMENT`)
  const [digest, ...rest] = readList(digests, `${found.where}.mval.digests`)
  if (rest.length > 0) throw corimInvalid(`${found.where}.mval.digests holds more than the MEASUREMENT.`)
  return readSha384(digest, `${found.where}.mval.digests`)
}
