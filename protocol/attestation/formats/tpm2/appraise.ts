import type { Finding } from '../../appraisal.ts'
import { digest } from './algorithms.ts'
import type { Tpm2ReferenceValue, Tpm2Rules } from './rules.ts'
import type { Tpm2Claims } from './verify.ts'

/** Values of draft-ietf-rats-ar4si-10 §2.3, for what a TPM shows. */
const KNOWN_INSTANCE = 2
const GENUINE_HARDWARE = 2
const UNACCEPTABLE_HARDWARE = 96
const UNKNOWN_HARDWARE = 97
const APPROVED_BOOT = 3
const UNRECOGNIZED_EXECUTABLES = 33
const CONTRAINDICATED_EXECUTABLES = 96
const UNAVAILABLE_CONFIGURATION = 36

/** What a policy finds in verified claims, line by line. */
export function appraiseTpm2(
  claims: Tpm2Claims,
  referenceValues: readonly Tpm2ReferenceValue[],
  rules: Tpm2Rules,
): Finding[] {
  const { id, state } = claims.attester
  const identity: Finding = {
    check: 'tpm2.identity',
    claim: 'instance-identity',
    value: KNOWN_INSTANCE,
    detail: `The TPM with the EK ${id} holds the AK ${state.akName}.`,
  }
  const pcrs = [...rules.pcrs].sort((one, other) => one - other)
  return [
    identity,
    appraiseTpm(claims, rules),
    ...appraiseCertificates(claims, rules),
    ...appraiseRestart(claims, rules),
    ...appraisePcrs(claims, referenceValues, { ...rules, pcrs }),
    ...appraiseEventLog(claims, rules),
  ]
}

function appraiseTpm({ attester: { state }, firmwareVersion }: Tpm2Claims, { tpms }: Tpm2Rules): Finding {
  const { manufacturer = 'unknown' } = state.tpm
  const finding = { check: 'tpm2.hardware', claim: 'hardware' } as const
  const detail = `The manufacturer of the TPM is ${manufacturer}, its firmware ${firmwareVersion}`
  const allowed = tpms?.filter((one) => one.manufacturer === manufacturer)
  if (allowed?.length === 0) {
    return { ...finding, value: UNKNOWN_HARDWARE, detail: `${detail}: not one that the policy names.` }
  }
  // Hex of one length: where a manufacturer is named twice, the strictest counts.
  const minimumFirmware =
    (allowed ?? [])
      .map((one) => one.minimumFirmware ?? '')
      .sort()
      .at(-1) ?? ''
  return firmwareVersion < minimumFirmware
    ? { ...finding, value: UNACCEPTABLE_HARDWARE, detail: `${detail}, below ${minimumFirmware}.` }
    : { ...finding, value: GENUINE_HARDWARE, detail: `${detail}.` }
}

function appraiseCertificates({ attester, certificatesAreValid }: Tpm2Claims, rules: Tpm2Rules): Finding[] {
  if (certificatesAreValid || rules.expiredCertificates === 'accepted') return []
  const until = new Date(attester.state.certificatesValidUntil).toISOString()
  const detail = `The EK certificate, or one above it, was valid until ${until}.`
  return [{ check: 'tpm2.certificates', claim: 'hardware', value: UNKNOWN_HARDWARE, detail }]
}

function appraiseRestart({ attester, hasRestarted }: Tpm2Claims, { restarts }: Tpm2Rules): Finding[] {
  if (!hasRestarted || restarts === 'accepted') return []
  const { resetCount, restartCount } = attester.state
  const detail = `The device was started again: reset ${resetCount}, restart ${restartCount}.`
  return [{ check: 'tpm2.restart', claim: 'configuration', value: UNAVAILABLE_CONFIGURATION, detail }]
}

function appraisePcrs(
  { pcrs }: Tpm2Claims,
  referenceValues: readonly Tpm2ReferenceValue[],
  { bank, pcrs: wanted, otherValues }: Tpm2Rules,
): Finding[] {
  if (wanted.length === 0) return []
  const quoted = pcrs.get(bank) ?? new Map<number, Buffer>()
  const claim = 'executables'
  const missing = wanted.filter((pcr) => !quoted.has(pcr))
  if (missing.length > 0) {
    const detail = `Not quoted in bank ${bank}: PCR ${missing.join(', ')}.`
    return [{ check: 'tpm2.pcr_selection', claim, value: CONTRAINDICATED_EXECUTABLES, detail }]
  }
  const values = wanted.map((pcr) => [pcr, quoted.get(pcr) as Buffer] as const)
  const whole = digest(bank, ...values.map(([, value]) => value)).toString('hex')
  const check = 'tpm2.pcrs'
  const isKnownWhole = referenceValues.some(({ pcrDigests }) => pcrDigests?.[bank]?.includes(whole) === true)
  const unknown = values.filter(([pcr, value]) => {
    const text = value.toString('hex')
    return !isKnownWhole && !referenceValues.some((one) => one.pcrs?.[bank]?.[pcr]?.includes(text) === true)
  })
  if (unknown.length === 0) {
    const detail = `PCR ${wanted.join(', ')} (${bank}) have values that reference values allow.`
    return [{ check, claim, value: APPROVED_BOOT, detail }]
  }
  const value = otherValues === 'warning' ? UNRECOGNIZED_EXECUTABLES : CONTRAINDICATED_EXECUTABLES
  return unknown.map(([pcr, bytes]) => {
    return {
      check,
      claim,
      value,
      detail: `No reference value allows ${bytes.toString('hex')} in PCR ${pcr} (${bank}).`,
    }
  })
}

function appraiseEventLog({ replayed }: Tpm2Claims, { bank, eventLog }: Tpm2Rules): Finding[] {
  const unexplained = eventLog.filter((pcr) => replayed?.[bank]?.includes(pcr) !== true)
  if (unexplained.length === 0) return []
  const detail = `No event log explains PCR ${unexplained.join(', ')} (${bank}).`
  return [{ check: 'tpm2.unexplained_pcrs', claim: 'executables', value: CONTRAINDICATED_EXECUTABLES, detail }]
}
