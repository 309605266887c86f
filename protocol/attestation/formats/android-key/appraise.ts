import type { Finding } from '../../appraisal.ts'
import { collateralValues } from '../../collateral-rules.ts'
import { type SecurityLevel, securityLevels } from './key-description.ts'
import type { AndroidKeyReference, AndroidKeyRules } from './rules.ts'
import { dayOf } from './state.ts'
import type { AttestedClaims } from './verify.ts'

/** Values of AR4SI (draft-ietf-rats-ar4si §2.3.4) for what is found here. */
const values = {
  'instance-identity': { recognized: 2, unrecognized: 97 },
  configuration: { approved: 2, unsupported: 96 },
  hardware: { genuine: 2, contraindicated: 96 },
  executables: { approvedRuntime: 2, approvedBoot: 3, unrecognized: 33, contraindicated: 96 },
} as const

const bad = { warning: values.executables.unrecognized, contraindicated: values.executables.contraindicated } as const

/** KeyPurpose and KeyOrigin of KeyMint. */
const SIGN = 2
const VERIFY = 3
const GENERATED = 0
const HOUR_MS = 3_600_000

/** Pure. One finding for each line of what is looked at. */
export function appraiseAndroidKey(
  claims: AttestedClaims,
  references: readonly AndroidKeyReference[],
  rules: AndroidKeyRules,
): Finding[] {
  return [
    appraiseKey(claims, rules),
    appraiseLevel(claims, rules),
    appraiseRevocation(claims, rules),
    appraiseBoot(claims, rules),
    appraiseLock(claims),
    appraisePurposes(claims),
    appraiseOrigin(claims),
    ...appraiseVersions(claims, rules),
    ...appraiseModules(claims, rules),
    appraiseApp(claims, references, rules),
  ]
}

function appraiseKey({ attestedKey }: AttestedClaims, { key }: AndroidKeyRules): Finding {
  const { recognized, unrecognized } = values['instance-identity']
  const isGood = key === 'any' || attestedKey === 'identity'
  return {
    check: 'android-key.key',
    claim: 'instance-identity',
    value: isGood ? recognized : unrecognized,
    detail:
      attestedKey === 'identity'
        ? 'The identity key is attested itself.'
        : `Another key than the identity key is attested${isGood ? '' : ', which the policy does not take'}.`,
  }
}

function appraiseLevel(claims: AttestedClaims, { securityLevel: least }: AndroidKeyRules): Finding {
  const { attestationSecurityLevel: attestation, keyMintSecurityLevel: key, certifiedStrongBox } = claims
  const { genuine, contraindicated } = values.hardware
  // Keys attest keys of their own kind, and it is the root that says which kind that is.
  const isUncertified = key === 'strongbox' && !certifiedStrongBox
  const isGood = attestation === key && rankOf(isUncertified ? 'trusted-environment' : key) >= rankOf(least)
  return {
    check: 'android-key.security_level',
    claim: 'hardware',
    value: isGood ? genuine : contraindicated,
    detail: `The key is held by: ${key}, attested by: ${attestation}${isUncertified ? ', with certificates for no StrongBox' : ''}; at least: ${least}.`,
  }
}

function rankOf(level: SecurityLevel): number {
  return securityLevels.indexOf(level)
}

function appraiseRevocation({ statusList }: AttestedClaims, rules: AndroidKeyRules): Finding {
  const { listAgeMs, revoked } = statusList
  const finding = { check: 'android-key.revocation', claim: 'hardware' } as const
  const [first] = revoked
  if (first !== undefined) {
    const detail = `The certificate ${first.serialNumber} is ${first.status} (${first.reason ?? 'without a reason'}).`
    return { ...finding, value: values.hardware.contraindicated, detail }
  }
  const unknown = collateralValues[rules.collateral]
  if (listAgeMs === null) return { ...finding, value: unknown, detail: 'There is no status list.' }
  if (listAgeMs > rules.maximumListAge * HOUR_MS) {
    const hours = Math.floor(listAgeMs / HOUR_MS)
    const detail = `The status list was fetched ${hours} hours ago; at most: ${rules.maximumListAge}.`
    return { ...finding, value: unknown, detail }
  }
  return { ...finding, value: values.hardware.genuine, detail: 'No certificate is on the status list.' }
}

function appraiseBoot({ rootOfTrust }: AttestedClaims, { verifiedBootKeys: keys }: AndroidKeyRules): Finding {
  const { verifiedBootState: state = 'unknown', verifiedBootKey: key = '' } = rootOfTrust ?? {}
  const isListed = keys?.includes(key) === true
  const isGood = isListed ? state === 'verified' || state === 'self-signed' : keys === undefined && state === 'verified'
  return {
    check: 'android-key.verified_boot',
    claim: 'executables',
    value: isGood ? values.executables.approvedBoot : values.executables.contraindicated,
    detail: `What was booted is ${state} by key ${key || 'unknown'}${keys === undefined ? '' : `, which the policy ${isListed ? 'lists' : 'does not list'}`}.`,
  }
}

function appraiseLock({ rootOfTrust }: AttestedClaims): Finding {
  const { approved, unsupported } = values.configuration
  return {
    check: 'android-key.device_locked',
    claim: 'configuration',
    value: rootOfTrust?.deviceLocked === true ? approved : unsupported,
    detail: `The boot loader is ${rootOfTrust === null ? 'in an unknown state' : rootOfTrust.deviceLocked ? 'locked' : 'unlocked'}.`,
  }
}

function appraisePurposes({ keys }: AttestedClaims): Finding {
  const { approved, unsupported } = values.configuration
  const isGood = keys.every(
    ({ purposes }) => purposes.includes(SIGN) && purposes.every((one) => one === SIGN || one === VERIFY),
  )
  return {
    check: 'android-key.purpose',
    claim: 'configuration',
    value: isGood ? approved : unsupported,
    detail: `The purposes of the attested keys are ${keys.map(({ purposes }) => purposes.join(', ') || 'unknown').join('; ')}; allowed: ${SIGN} (sign) and ${VERIFY} (verify).`,
  }
}

function appraiseOrigin({ keys }: AttestedClaims): Finding {
  const { approved, unsupported } = values.configuration
  return {
    check: 'android-key.origin',
    claim: 'configuration',
    value: keys.every(({ origin }) => origin === GENERATED) ? approved : unsupported,
    detail: `The origins of the attested keys are ${keys.map(({ origin }) => origin ?? 'unknown').join(', ')}; allowed: ${GENERATED} (generated).`,
  }
}

function appraiseVersions(claims: AttestedClaims, rules: AndroidKeyRules): Finding[] {
  const wanted: [what: string, found: number | null, least: number | undefined][] = [
    ['Android', claims.osVersion, rules.minimumOsVersion],
    ['the patch level of Android', claims.osPatchLevel, rules.minimumOsPatchLevel],
    ['the patch level of the vendor image', claims.vendorPatchLevel, rules.minimumVendorPatchLevel],
    ['the patch level of the boot image', claims.bootPatchLevel, rules.minimumBootPatchLevel],
  ]
  return wanted.flatMap(([what, found, least]): Finding[] => {
    if (least === undefined) return []
    const isGood = found !== null && dayOf(found) >= dayOf(least)
    const value = isGood ? values.executables.approvedRuntime : bad[rules.outdated]
    const detail = `The version of ${what} is ${found ?? 'unknown'}; at least: ${least}.`
    return [{ check: 'android-key.version_minimum', claim: 'executables', value, detail }]
  })
}

function appraiseModules({ moduleHash }: AttestedClaims, { moduleHashes }: AndroidKeyRules): Finding[] {
  if (moduleHashes === undefined) return []
  const isGood = moduleHashes.includes(moduleHash ?? '')
  const { approvedRuntime, contraindicated } = values.executables
  const detail = `The modules of the system have the hash ${moduleHash ?? 'unknown'}, which the policy ${isGood ? 'lists' : 'does not list'}.`
  return [
    {
      check: 'android-key.modules',
      claim: 'executables',
      value: isGood ? approvedRuntime : contraindicated,
      detail,
    },
  ]
}

function appraiseApp(
  { application }: AttestedClaims,
  references: readonly AndroidKeyReference[],
  rules: AndroidKeyRules,
): Finding {
  const { packages = [], signers = [] } = application ?? {}
  const known = references.filter((one) => packages.some(({ name }) => name === one.package))
  const areKnown = packages.every(({ name, version }) =>
    known.some((one) => one.package === name && version >= (one.minimumVersion ?? 0)),
  )
  const areSigned = signers.every((signer) => known.some((one) => one.signers.includes(signer)))
  // Without an app there is nobody who signed it.
  const isGood = signers.length > 0 && areKnown && areSigned
  const names = packages.map(({ name, version }) => `${name} ${version}`).join(', ')
  return {
    check: 'android-key.app',
    claim: 'executables',
    value: isGood ? values.executables.approvedRuntime : bad[rules.unlistedApp],
    detail: `${names === '' ? 'An unknown app' : names}, signed by ${signers.join(', ') || 'nobody'}, is ${isGood ? '' : 'not '}in the reference values.`,
  }
}
