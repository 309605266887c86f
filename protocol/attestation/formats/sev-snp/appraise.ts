import type { Finding } from '../../appraisal.ts'
import { collateralValues } from '../../collateral-rules.ts'
import { type Tcb, tcbParts } from './products.ts'
import type { SevSnpReference, SevSnpRules } from './rules.ts'
import type { SevSnpClaims } from './verify.ts'

/** Values of draft-ietf-rats-ar4si §2.3, for what a report shows. */
const GENUINE_HARDWARE = 2
const UNACCEPTABLE_HARDWARE = 96
const UNKNOWN_HARDWARE = 97
const APPROVED_CONFIGURATION = 2
const UNSUPPORTED_CONFIGURATION = 96
const APPROVED_BOOT = 3
const UNRECOGNIZED_EXECUTABLES = 33
const CONTRAINDICATED_EXECUTABLES = 96

/** Bits of a policy that let the host do more, and those that let it do less. */
const permissions = ['debug', 'migration', 'smt', 'cxl'] as const

/** What a policy finds in verified claims, line by line. */
export function appraiseSevSnp(
  claims: SevSnpClaims,
  references: readonly SevSnpReference[],
  rules: SevSnpRules,
): Finding[] {
  return [
    appraiseKey(claims, rules),
    appraiseTcb(claims, rules),
    appraiseRevocation(claims, rules),
    ...appraiseMitigations(claims, rules),
    appraisePlatform(claims, rules),
    ...appraiseGuestPolicy(claims, rules),
    appraiseVmpl(claims, rules),
    appraiseMeasurement(claims, references, rules),
    ...appraiseGuestSvn(claims, rules),
    ...appraiseListed('sev-snp.host_data', 'HOST_DATA', claims.hostData, rules.hostData),
    ...appraiseListed('sev-snp.id_key', 'The digest of the ID key', claims.idKeyDigest, rules.idKeyDigests),
    ...appraiseListed(
      'sev-snp.author_key',
      'The digest of the author key',
      claims.authorKeyDigest,
      rules.authorKeyDigests,
    ),
  ]
}

function appraiseKey({ signingKey, provider, productName }: SevSnpClaims, rules: SevSnpRules): Finding {
  const isTaken =
    rules.signingKeys.includes(signingKey) &&
    (provider === undefined || rules.providers === undefined || rules.providers.includes(provider))
  const whose = provider === undefined ? '' : ` of ${provider}`
  return {
    check: 'sev-snp.hardware',
    claim: 'hardware',
    value: isTaken ? GENUINE_HARDWARE : UNKNOWN_HARDWARE,
    detail: `The report is signed by a ${signingKey.toUpperCase()}${whose} for ${productName}${isTaken ? '' : ': not one that the policy takes'}.`,
  }
}

/**
 * The key is bound to the reported TCB; what the guest was measured by is that of its launch; and what is not committed the host may
 * take back while the guest runs. It can raise one without the others.
 */
function appraiseTcb({ product, tcb }: SevSnpClaims, { minimumTcb }: SevSnpRules): Finding {
  const minimum: Tcb = minimumTcb[product] ?? {}
  const low = (['reported', 'committed', 'launch'] as const).flatMap((which) =>
    tcbParts
      .filter((part) => (tcb[which][part] ?? 0) < (minimum[part] ?? 0))
      .map((part) => `${which} ${part} ${tcb[which][part]}, below ${minimum[part]}`),
  )
  return {
    check: 'sev-snp.minimum_tcb',
    claim: 'hardware',
    value: low.length === 0 ? GENUINE_HARDWARE : UNACCEPTABLE_HARDWARE,
    detail: `The TCB of ${product} is ${low.length === 0 ? 'at least what the policy asks for' : low.join('; ')}.`,
  }
}

function appraiseMitigations({ mitigations }: SevSnpClaims, { mitigations: wanted }: SevSnpRules): Finding[] {
  if (wanted.length === 0) return []
  const { launch = '0', current = '0' } = mitigations ?? {}
  const both = BigInt(`0x${launch}`) & BigInt(`0x${current}`)
  const missing = wanted.filter((bit) => ((both >> BigInt(bit)) & 1n) === 0n)
  return [
    {
      check: 'sev-snp.mitigations',
      claim: 'hardware',
      value: missing.length === 0 ? GENUINE_HARDWARE : UNACCEPTABLE_HARDWARE,
      detail:
        mitigations === undefined
          ? 'The report is of a version that says nothing of mitigations.'
          : `Mitigations at the launch: ${launch}, now: ${current}; required and not in both: ${missing.join(', ') || 'none'}.`,
    },
  ]
}

const revocations = {
  good: 'is not revoked',
  revoked: 'is revoked by AMD',
  stale: 'was not revoked when the list was published that is out of date now',
  unknown: 'is in no revocation list that is known',
}

function appraiseRevocation({ revocation }: SevSnpClaims, { collateral }: SevSnpRules): Finding {
  const value =
    revocation === 'good'
      ? GENUINE_HARDWARE
      : revocation === 'revoked'
        ? UNACCEPTABLE_HARDWARE
        : collateralValues[collateral]
  const detail = `What certifies the key ${revocations[revocation]}.`
  return { check: 'sev-snp.revocation', claim: 'hardware', value, detail }
}

function appraisePlatform({ platform }: SevSnpClaims, rules: SevSnpRules): Finding {
  const missing = rules.platform.filter((flag) => !platform.includes(flag))
  return {
    check: 'sev-snp.platform',
    claim: 'configuration',
    value: missing.length === 0 ? APPROVED_CONFIGURATION : UNSUPPORTED_CONFIGURATION,
    detail: `The machine has: ${platform.join(', ') || 'nothing of note'}; required and not there: ${missing.join(', ') || 'nothing'}.`,
  }
}

function appraiseGuestPolicy({ policy }: SevSnpClaims, rules: SevSnpRules): Finding[] {
  const { flags, abi } = policy
  const allowed = permissions.filter((flag) => flags.includes(flag) && !rules.allowed.includes(flag))
  const missing = rules.required.filter((flag) => !flags.includes(flag))
  const isGood = allowed.length === 0 && missing.length === 0
  const detail = `The policy of the guest allows what it must not: ${allowed.join(', ') || 'nothing'}; asks not for what it must: ${missing.join(', ') || 'nothing'}.`
  const guest: Finding = {
    check: 'sev-snp.guest_policy',
    claim: 'configuration',
    value: isGood ? APPROVED_CONFIGURATION : UNSUPPORTED_CONFIGURATION,
    detail,
  }
  if (rules.minimumAbi === undefined) return [guest]
  const { major, minor } = rules.minimumAbi
  const [foundMajor = 0, foundMinor = 0] = abi.split('.').map(Number)
  const isRecent = foundMajor > major || (foundMajor === major && foundMinor >= minor)
  return [
    guest,
    {
      check: 'sev-snp.abi',
      claim: 'configuration',
      value: isRecent ? APPROVED_CONFIGURATION : UNSUPPORTED_CONFIGURATION,
      detail: `The policy of the guest asks for ABI ${abi} of the firmware; at least ${major}.${minor} is wanted.`,
    },
  ]
}

function appraiseVmpl({ vmpl }: SevSnpClaims, { vmpls }: SevSnpRules): Finding {
  return {
    check: 'sev-snp.vmpl',
    claim: 'configuration',
    value: vmpls.includes(vmpl) ? APPROVED_CONFIGURATION : UNSUPPORTED_CONFIGURATION,
    detail: `VMPL ${vmpl} asked for the report; allowed: ${vmpls.join(', ')}.`,
  }
}

function appraiseMeasurement(
  { measurement }: SevSnpClaims,
  references: readonly SevSnpReference[],
  { otherMeasurements }: SevSnpRules,
): Finding {
  const isKnown = references.some(({ measurements }) => measurements.includes(measurement))
  const bad = otherMeasurements === 'warning' ? UNRECOGNIZED_EXECUTABLES : CONTRAINDICATED_EXECUTABLES
  return {
    check: 'sev-snp.measurement',
    claim: 'executables',
    value: isKnown ? APPROVED_BOOT : bad,
    detail: `The measurement ${measurement} is in ${isKnown ? 'the reference values' : 'no reference value'}.`,
  }
}

function appraiseGuestSvn({ guestSvn }: SevSnpClaims, { minimumGuestSvn }: SevSnpRules): Finding[] {
  if (minimumGuestSvn === 0) return []
  return [
    {
      check: 'sev-snp.guest_svn',
      claim: 'executables',
      value: guestSvn >= minimumGuestSvn ? APPROVED_BOOT : CONTRAINDICATED_EXECUTABLES,
      detail: `The SVN of the guest is ${guestSvn}; at least ${minimumGuestSvn} is wanted.`,
    },
  ]
}

function appraiseListed(
  check: string,
  what: string,
  found: string | undefined,
  allowed: readonly string[] | undefined,
): Finding[] {
  if (allowed === undefined) return []
  const isAllowed = found !== undefined && allowed.includes(found)
  return [
    {
      check,
      claim: 'executables',
      value: isAllowed ? APPROVED_BOOT : CONTRAINDICATED_EXECUTABLES,
      detail: `${what} is ${found ?? 'not there'}: ${isAllowed ? 'allowed' : 'not one that the policy allows'}.`,
    },
  ]
}
