import type { Finding } from '../../appraisal.ts'
import { collateralValues } from '../../collateral-rules.ts'
import type { RevocationStatus } from '../../x509/revocation.ts'
import { type TdxReference, type TdxRules, tdAttributeBits } from './rules.ts'
import { tdRegisters } from './td-report.ts'
import type { TdxClaims } from './verify.ts'

/** Values of draft-ietf-rats-ar4si-10 §2.3, for what a trust domain shows. */
const values = {
  configuration: { approved: 2, acceptable: 3, unsupported: 96 },
  executables: { approved: 3, unrecognized: 33, contraindicated: 96 },
  hardware: { genuine: 2, unsafe: 32, contraindicated: 96, unrecognized: 97 },
} as const

/** What a policy finds in verified claims, line by line. */
export function appraiseTdx(claims: TdxClaims, references: readonly TdxReference[], rules: TdxRules): Finding[] {
  return [
    appraiseDebug(claims, rules),
    appraiseAttributes(claims, rules),
    ...appraiseXfam(claims, rules),
    appraiseRegisters(claims, references, rules),
    ...claims.revocation.map((status, index) => appraiseRevocation(status, index, rules)),
    appraiseStatement('identity of the quoting enclave', claims.qeIdentity, rules),
    appraiseStatement(`TCB info of ${claims.platform.fmspc}`, claims.tcbInfo, rules),
    ...appraiseQe(claims, rules),
    ...appraiseModule(claims),
    ...appraiseTcb(claims, rules),
    ...appraiseEvaluation(claims, rules),
  ]
}

const UNTRUSTED_BITS = 0xffn

function appraiseDebug({ report: { tdAttributes } }: TdxClaims, { debug }: TdxRules): Finding {
  const { approved, acceptable, unsupported } = values.configuration
  const bits = tdAttributes & UNTRUSTED_BITS
  const found = { check: 'tdx.debug', claim: 'configuration' } as const
  if (bits === 0n) return { ...found, value: approved, detail: 'Its host cannot look into the trust domain.' }
  // Of the eight bits only the first has a meaning, which a policy can know what to think of.
  const value = bits === 1n && debug === 'accepted' ? acceptable : unsupported
  return { ...found, value, detail: `The trust domain may be debugged: its attributes begin with ${bits}.` }
}

function appraiseAttributes({ report: { tdAttributes } }: TdxClaims, { required, allowed }: TdxRules): Finding {
  const bitsOf = (names: TdxRules['required']) => names.reduce((sum, name) => sum | (1n << tdAttributeBits[name]), 0n)
  const lacking = required.filter((name) => (tdAttributes & (1n << tdAttributeBits[name])) === 0n)
  const other = tdAttributes & ~(UNTRUSTED_BITS | bitsOf(required) | bitsOf(allowed))
  const { approved, unsupported } = values.configuration
  const terms = [
    ...(lacking.length > 0 ? [`it lacks ${lacking.join(', ')}`] : []),
    ...(other !== 0n ? [`it has what is not allowed: 0x${other.toString(16)}`] : []),
  ]
  return {
    check: 'tdx.attributes',
    claim: 'configuration',
    value: terms.length === 0 ? approved : unsupported,
    detail: `The attributes of the trust domain are 0x${tdAttributes.toString(16)}${terms.length === 0 ? '' : `: ${terms.join('; ')}`}.`,
  }
}

function appraiseXfam({ report: { xfam } }: TdxClaims, { xfam: allowed }: TdxRules): Finding[] {
  if (allowed === undefined) return []
  const { approved, unsupported } = values.configuration
  const value = allowed.includes(xfam) ? approved : unsupported
  return [
    { check: 'tdx.xfam', claim: 'configuration', value, detail: `XFAM is ${xfam}; allowed: ${allowed.join(', ')}.` },
  ]
}

function appraiseRegisters(
  { report: { registers } }: TdxClaims,
  references: readonly TdxReference[],
  { registers: wanted, unlisted }: TdxRules,
): Finding {
  const { approved, unrecognized, contraindicated } = values.executables
  const found = { check: 'tdx.registers', claim: 'executables' } as const
  const isApproved = references.some(
    (reference) =>
      wanted.every((name) => reference[name] !== undefined) &&
      tdRegisters.every((name) => reference[name] === undefined || reference[name] === registers[name]),
  )
  const shown = wanted.map((name) => `${name} ${registers[name]}`).join(', ')
  if (isApproved) return { ...found, value: approved, detail: `A reference value approves of ${shown}.` }
  const value = unlisted === 'warning' ? unrecognized : contraindicated
  return { ...found, value, detail: `No reference value approves of ${shown}.` }
}

function appraiseRevocation(status: RevocationStatus, index: number, { collateral }: TdxRules): Finding {
  const { genuine, unrecognized } = values.hardware
  const whose = index === 0 ? 'the PCK certificate' : `authority ${index} above the PCK certificate`
  const found = { check: 'tdx.revocation', claim: 'hardware' } as const
  if (status === 'good') return { ...found, value: genuine, detail: `Not revoked: ${whose}.` }
  if (status === 'revoked') return { ...found, value: unrecognized, detail: `Revoked: ${whose}.` }
  const why = status === 'stale' ? 'is out of date' : 'lacks'
  return {
    ...found,
    value: collateralValues[collateral],
    detail: `Whether ${whose} is revoked is not known: the revocation list of its issuer ${why}.`,
  }
}

function appraiseStatement(
  name: string,
  statement: TdxClaims['tcbInfo'] | TdxClaims['qeIdentity'],
  { collateral }: TdxRules,
): Finding {
  const found = { check: 'tdx.collateral', claim: 'hardware' } as const
  const value = collateralValues[collateral]
  if (statement === undefined) return { ...found, value, detail: `There is no ${name} that Intel signed.` }
  const until = new Date(statement.nextUpdateAt).toISOString()
  return statement.isCurrent
    ? { ...found, value: values.hardware.genuine, detail: `The ${name} is good until ${until}.` }
    : { ...found, value, detail: `The ${name} was good until ${until}.` }
}

function appraiseQe({ qe, qeIdentity }: TdxClaims, rules: TdxRules): Finding[] {
  if (qeIdentity === undefined) return []
  const { unrecognized } = values.hardware
  const { status } = qeIdentity.tcb
  const detail = `The quoting enclave ${qe.isvProdId} in version ${qe.isvSvn}, signed by ${qe.mrSigner}`
  return [
    status === 'Mismatch'
      ? { check: 'tdx.qe', claim: 'hardware', value: unrecognized, detail: `${detail}, is not Intel's.` }
      : { check: 'tdx.qe', claim: 'hardware', value: valueOfTcb(status, rules), detail: `${detail}, is ${status}.` },
  ]
}

function appraiseModule({ report: { mrSeam }, tcbInfo }: TdxClaims): Finding[] {
  if (tcbInfo === undefined) return []
  const { genuine, unrecognized } = values.hardware
  const { module } = tcbInfo.tcb
  const detail = `The TDX module ${mrSeam} is`
  return [
    module === 'Mismatch'
      ? {
          check: 'tdx.module',
          claim: 'hardware',
          value: unrecognized,
          detail: `${detail} none that the TCB info names.`,
        }
      : { check: 'tdx.module', claim: 'hardware', value: genuine, detail: `${detail} ${module}.` },
  ]
}

function appraiseTcb({ tcbInfo }: TdxClaims, rules: TdxRules): Finding[] {
  if (tcbInfo === undefined) return []
  const { status, advisoryIds } = tcbInfo.tcb
  const value = valueOfTcb(status, rules)
  const advisories = advisoryIds.length === 0 ? '' : `; advisories: ${advisoryIds.join(', ')}`
  return [{ check: 'tdx.tcb', claim: 'hardware', value, detail: `The TCB of the platform is ${status}${advisories}.` }]
}

function valueOfTcb(status: string, { tcbStatuses, tcbWarnings }: TdxRules): number {
  const { genuine, unsafe, contraindicated } = values.hardware
  const isIn = (names: readonly string[]) => names.includes(status)
  return isIn(tcbStatuses) ? genuine : isIn(tcbWarnings) ? unsafe : contraindicated
}

function appraiseEvaluation(
  { qeIdentity, tcbInfo }: TdxClaims,
  { minimumTcbEvaluationDataNumber: minimum }: TdxRules,
): Finding[] {
  if (minimum === undefined) return []
  const numbers = [qeIdentity, tcbInfo].flatMap((one) => (one ? [one.evaluationNumber] : []))
  const { genuine, contraindicated } = values.hardware
  const value = numbers.every((number) => number >= minimum) ? genuine : contraindicated
  const detail = `TCBs are evaluated by ${numbers.join(' and ') || 'nothing'}; at least ${minimum} is wanted.`
  return [{ check: 'tdx.evaluation', claim: 'hardware', value, detail }]
}
