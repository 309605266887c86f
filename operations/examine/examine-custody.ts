import type { Database } from '../../database/open.ts'
import { listKekLives } from '../../database/repositories/keks.ts'
import { findTrustDraft } from '../../database/repositories/trust-drafts.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { type Config, ConfigError } from '../../runtime/config.ts'
import { KEK_USE_BUDGET } from '../../runtime/custody/kek-uses.ts'
import { countedPurposes } from '../../runtime/custody/keyring.ts'
import { sealPurposes } from '../../runtime/custody/sealed-record.ts'
import { openRootOfTrust } from '../../runtime/custody/service-keys.ts'
import type { ProfileName } from '../../runtime/profile.ts'
import { loadRootKey } from '../../runtime/secrets.ts'
import type { Environment } from '../define-operation.ts'
import { type Custody, openCustody, readStoredKeys } from '../open-custody.ts'
import { daysText, errorText, type Finding, findingsOf } from './finding.ts'

const custody = findingsOf('custody')
const trust = findingsOf('trust')

const DAY_MS = 86_400_000
const SOON_MS = 30 * DAY_MS

export interface CustodyParts {
  env: Environment
  config: Config
  crypto: Primitives
}

/** Without a database: the root key can be read, and by nobody else. */
export async function examineRootKey(
  { env, config, isOurs }: CustodyParts & { isOurs: boolean },
  isNew: boolean,
): Promise<Finding> {
  const { ok, problem, unseen } = custody
  try {
    const isEmbedded = config.database === undefined
    const key = await loadRootKey({ env, dataDirectory: config.dataDirectory, isEmbedded, mayMake: false })
    return ok(
      `the root key is there, ${key.length} bytes, for its owner alone; whether it opens the database is not known`,
    )
  } catch (error) {
    if (isNew) return unseen('there is no root key yet', 'The first start of the embedded mode makes it.')
    if (!isOurs) return unseen(problemsOf(error), 'Run this as the user of the service, or as root.')
    return problem(problemsOf(error), 'Restore the root key that belongs to this database.')
  }
}

/** The root key opens the database's keys; the trust bundle is signed by them. `opened` is undefined when it does not. */
export async function examineCustody(
  parts: CustodyParts & { database: Database },
  now: number,
): Promise<{ findings: Finding[]; opened: Custody | undefined }> {
  const stored = await readStoredKeys(parts.database)
  if (stored.trust.length === 0) {
    return {
      findings: [custody.unseen('the database has no keys yet', 'The first start makes them.')],
      opened: undefined,
    }
  }
  try {
    const opened = await openCustody(parts, stored)
    const { rootKid } = opened.serviceKeys
    const findings = [
      custody.ok(`the root key opens the keys of this database; root of trust ${rootKid}`),
      ...(await usesFindings(parts.database)),
      trustDomainFinding(opened.trust.trustDomain, parts.config.trustDomain),
      profileFinding(opened.serviceKeys.profile, parts.config.profile),
      ...(await rootFindings(parts, opened, now)),
      // A key that was retired has ended, as it should.
      ...opened.trust.keys
        .filter(({ kid }) => stored.signingKeys.some((key) => key.kid === kid))
        .map((key) => validityFinding(key, now))
        .filter((found) => found !== undefined),
    ]
    return { findings, opened }
  } catch (error) {
    const advice = 'Give the service the root key of this database, or the database of this root key.'
    return { findings: [custody.problem(problemsOf(error), advice)], opened: undefined }
  }
}

/** How near the keys that seal often are to their end. */
async function usesFindings(database: Database): Promise<Finding[]> {
  const keks = await database.withoutOrganization(listKekLives)
  return countedPurposes.flatMap((purpose) => {
    const seals = keks.find((kek) => kek.purpose === sealPurposes[purpose] && kek.retiredAt === undefined)
    if (seals === undefined) return []
    const named = `key-encryption key ${seals.version} of ${purpose}`
    const advice = 'It gets a successor within ten minutes while a process with the role worker runs (rotate-keks).'
    if (seals.uses === undefined) return [custody.unseen(`how often ${named} has sealed was not counted`, advice)]
    const share = `${named} has sealed at most ${Math.ceil((100 * seals.uses) / KEK_USE_BUDGET)} % of what it should`
    return [seals.uses < KEK_USE_BUDGET ? custody.ok(share) : custody.warning(share, advice)]
  })
}

/** Where the root of trust is, and what waits for it. */
async function rootFindings(
  { crypto, database }: Pick<CustodyParts, 'crypto'> & { database: Database },
  { stored, serviceKeys: { keyring, rootKid } }: Custody,
  now: number,
): Promise<Finding[]> {
  const sealed = stored.signingKeys.find(({ kid }) => kid === rootKid)
  const isOffline = sealed !== undefined && (await openRootOfTrust(crypto, keyring, sealed)).signer === undefined
  const draft = await database.withoutOrganization(findTrustDraft)
  if (!isOffline) return []
  if (draft === undefined) return [trust.ok('the root of trust is offline, and nothing waits for it')]
  const { signBefore } = draft
  const isLate = signBefore !== undefined && now >= signBefore
  const until = signBefore === undefined ? '' : `, and has to be signed before ${new Date(signBefore).toISOString()}`
  return [
    (isLate ? trust.problem : trust.warning)(
      `trust bundle ${draft.body.sequence} waits for the root of trust, which is offline${until}`,
      'qflare root draft, then qflare root sign where that is, then qflare root submit.',
    ),
  ]
}

function trustDomainFinding(stored: string, configured: string): Finding {
  if (stored === configured) return trust.ok(`the bundle of ${stored} is signed by the root of trust`)
  return trust.problem(
    `QFLARE_TRUST_DOMAIN is ${configured}, but devices know this service as ${stored}`,
    `Set QFLARE_TRUST_DOMAIN=${stored}.`,
  )
}

function profileFinding(begunAs: ProfileName, configured: ProfileName): Finding {
  if (begunAs === configured) return trust.ok(`the keys are those of the profile ${begunAs}`)
  return trust.problem(
    `QFLARE_PROFILE is ${configured}, but the keys of this service are those of ${begunAs}`,
    `Set QFLARE_PROFILE=${begunAs}: without it the service does not start.`,
  )
}

function validityFinding(key: { use: string; kid: string; notAfter: number }, now: number): Finding | undefined {
  const days = Math.floor((key.notAfter - now) / DAY_MS)
  const named = `the key ${key.kid} (${key.use})`
  if (now >= key.notAfter)
    return trust.problem(
      `${named} has ended`,
      'Devices refuse what it signs. Its successor is made while a process with the role worker runs.',
    )
  if (key.notAfter - now > SOON_MS) return undefined
  return trust.warning(
    `${named} ends in ${daysText(days)}`,
    'It should have been replaced by its age: see whether a process with the role worker runs.',
  )
}

function problemsOf(error: unknown): string {
  return error instanceof ConfigError ? error.problems.join(' ') : errorText(error)
}
