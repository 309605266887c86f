import { createHash } from 'node:crypto'
import type { Finding } from '../../appraisal.ts'
import { isVersionAtLeast } from '../../versions.ts'
import { type AppAttestReference, type AppAttestRules, launchCategories } from './rules.ts'
import type { AttestedApp } from './verify.ts'

/** Values of AR4SI (draft-ietf-rats-ar4si §2.3.4) for what is found here. */
const values = {
  'instance-identity': { recognized: 2 },
  configuration: { approved: 2, acceptable: 3, unsupported: 96 },
  hardware: { genuine: 2, unsafe: 32, contraindicated: 96 },
  executables: { approvedRuntime: 2, unrecognized: 33, contraindicated: 96 },
} as const

const unlisted = {
  warning: values.executables.unrecognized,
  contraindicated: values.executables.contraindicated,
} as const
const outdated = { warning: values.hardware.unsafe, contraindicated: values.hardware.contraindicated } as const

const DAY_MS = 86_400_000

/** Pure. One finding for each line of what is looked at. */
export function appraiseAppAttest(
  app: AttestedApp,
  references: readonly AppAttestReference[],
  rules: AppAttestRules,
): Finding[] {
  return [
    {
      check: 'apple-app-attest.identity',
      claim: 'instance-identity',
      value: values['instance-identity'].recognized,
      detail: `The key ${app.keyId} ${app.kind === 'attestation' ? 'is attested' : `has signed ${app.counter} times`}.`,
    },
    appraiseAge(app, rules),
    appraiseEnvironment(app, rules),
    ...appraiseCategory(app, rules),
    appraiseApp(app, references, rules),
  ]
}

function appraiseAge({ attestationAgeMs }: AttestedApp, rules: AppAttestRules): Finding {
  const { maximumAttestationAge: most } = rules
  const isGood = most === undefined || attestationAgeMs <= most * DAY_MS
  return {
    check: 'apple-app-attest.attestation_age',
    claim: 'hardware',
    value: isGood ? values.hardware.genuine : outdated[rules.outdated],
    detail: `Apple attested the key ${Math.floor(attestationAgeMs / DAY_MS)} days ago; at most: ${most ?? 'any'}.`,
  }
}

function appraiseEnvironment({ environment }: AttestedApp, { development }: AppAttestRules): Finding {
  const { approved, acceptable, unsupported } = values.configuration
  const ofDevelopment = development === 'accepted' ? acceptable : unsupported
  return {
    check: 'apple-app-attest.development',
    claim: 'configuration',
    value: environment === 'production' ? approved : ofDevelopment,
    detail: `The key is of the ${environment} environment.`,
  }
}

function appraiseCategory({ launchCategory }: AttestedApp, { launchCategories: allowed }: AppAttestRules): Finding[] {
  if (allowed === undefined) return []
  const isGood = allowed.some((name) => launchCategories[name] === launchCategory)
  const { approvedRuntime, contraindicated } = values.executables
  return [
    {
      check: 'apple-app-attest.launch_category',
      claim: 'executables',
      value: isGood ? approvedRuntime : contraindicated,
      detail: `The app is signed as category ${launchCategory ?? 'unknown'}; allowed: ${allowed.map((name) => `${launchCategories[name]} (${name})`).join(', ')}.`,
    },
  ]
}

function appraiseApp(app: AttestedApp, references: readonly AppAttestReference[], rules: AppAttestRules): Finding {
  const { appIdHash, bundleVersion } = app
  const known = references.filter(({ appId }) => createHash('sha256').update(appId).digest('hex') === appIdHash)
  const isGood = known.some(
    ({ minimumVersion }) => minimumVersion === undefined || isVersionAtLeast(bundleVersion ?? '', minimumVersion),
  )
  return {
    check: 'apple-app-attest.app',
    claim: 'executables',
    value: isGood ? values.executables.approvedRuntime : unlisted[rules.unlistedApp],
    detail: `${known[0]?.appId ?? `An app with the hash ${appIdHash}`}, version ${bundleVersion ?? 'unknown'}, is ${isGood ? '' : 'not '}in the reference values.`,
  }
}
