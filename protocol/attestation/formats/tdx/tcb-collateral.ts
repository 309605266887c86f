import { verify } from 'node:crypto'
import type { z } from 'zod'
import { ProtocolError } from '../../../errors.ts'
import { type Collateral, malformedEvidence } from '../../evidence-format.ts'
import { derTags, parseDer } from '../../x509/der.ts'
import { type ParsedCertificate, parseCertificate } from '../../x509/parse-certificate.ts'
import { revocationStatus } from '../../x509/revocation.ts'
import { verifyPath } from '../../x509/verify-path.ts'
import { parseSignedJson, type SignedJson } from './signed-json.ts'
import { qeIdentity, tcbInfo } from './statements.ts'

const statements = {
  'tdx-tcb-info': { member: 'tcbInfo', schema: tcbInfo },
  'tdx-qe-identity': { member: 'enclaveIdentity', schema: qeIdentity },
} as const
export type TdxCollateralKind = keyof typeof statements
type StatementOf<Kind extends TdxCollateralKind> = z.output<(typeof statements)[Kind]['schema']>

interface ParsedStatement<Kind extends TdxCollateralKind> extends SignedJson<StatementOf<Kind>> {
  lookupId: string
  chain: readonly ParsedCertificate[]
}

/** A statement of Intel that is signed on a path to the root of the quote. */
export interface FoundStatement<Statement> {
  statement: Statement
  /** Whether its end has not passed. */
  isCurrent: boolean
}

export const qeIdentityId = 'tdx-qe-identity:TD_QE'
export function tcbInfoIdOf(fmspc: string): string {
  return `tdx-tcb-info:${fmspc}`
}

const SIGNER = 'Intel SGX TCB Signing'
const MAX_CHAIN = 4

/** With the certificates that lead to its root. Untrusted bytes. Throws `evidence_malformed`. */
export function parseTdxCollateral<Kind extends TdxCollateralKind>(
  kind: Kind,
  body: Uint8Array,
  chain: readonly Uint8Array[],
): ParsedStatement<Kind> {
  const { member, schema } = statements[kind]
  if (chain.length === 0 || chain.length > MAX_CHAIN) {
    throw malformedEvidence(`There are ${chain.length} certificates of its signer, not 1 to ${MAX_CHAIN}.`)
  }
  const parsed = parseSignedJson(body, member, schema) as SignedJson<StatementOf<Kind>>
  const { statement } = parsed
  const lookupId = 'fmspc' in statement ? tcbInfoIdOf(statement.fmspc) : qeIdentityId
  return { ...parsed, lookupId, chain: chain.map(parseCertificate) }
}

/** With whether it is signed by the first of its certificates, whoever that is. */
interface ReadStatement<Kind extends TdxCollateralKind> extends ParsedStatement<Kind> {
  isSigned: boolean
}

/** The same object is the same statement. */
const readStatements = new WeakMap<Collateral, ReadStatement<TdxCollateralKind>>()

function readOf<Kind extends TdxCollateralKind>(kind: Kind, collateral: Collateral): ReadStatement<Kind> {
  const known = readStatements.get(collateral) as ReadStatement<Kind> | undefined
  if (known !== undefined) return known
  const parsed = parseTdxCollateral(kind, collateral.body, collateral.chain)
  const { publicKey: key } = parsed.chain[0] as ParsedCertificate
  const isSigned = verify('sha256', parsed.signed, { key, dsaEncoding: 'ieee-p1363' }, parsed.signature)
  const read = { ...parsed, isSigned }
  readStatements.set(collateral, read)
  return read
}

/** The newest one that counts; one of which the end has passed still says what it says. Undefined without any. */
export function findStatement<Kind extends TdxCollateralKind>(
  kind: Kind,
  wantedId: string,
  given: { collateral: readonly Collateral[]; root: ParsedCertificate; now: number },
): FoundStatement<StatementOf<Kind>> | undefined {
  const { collateral, now } = given
  const [newest] = collateral
    .filter((one) => one.kind === kind && one.lookupId === wantedId)
    .map((one) => readOf(kind, one))
    .filter((one) => one.lookupId === wantedId && one.statement.issueDate <= now && isIntels(one, given))
    .sort((one, other) => other.statement.issueDate - one.statement.issueDate)
  return newest && { statement: newest.statement, isCurrent: now <= newest.statement.nextUpdate }
}

/** Signed by a certificate for it, which the root of the quote issued and did not revoke. */
function isIntels(
  { chain, isSigned }: ReadStatement<TdxCollateralKind>,
  { root, now, collateral }: { root: ParsedCertificate; now: number; collateral: readonly Collateral[] },
): boolean {
  const [signer, ...intermediates] = chain as [ParsedCertificate, ...ParsedCertificate[]]
  if (!isSigned || !hasCommonName(signer, SIGNER) || !hasPath(signer, intermediates, root, now)) return false
  return revocationStatus(signer, root, collateral, now) !== 'revoked'
}

function hasPath(
  leaf: ParsedCertificate,
  intermediates: readonly ParsedCertificate[],
  root: ParsedCertificate,
  now: number,
): boolean {
  try {
    const check = 'tdx.collateral_path'
    // Issued by the root itself: whom another authority certifies, such as a platform, says nothing of TCBs.
    return verifyPath({ leaf, intermediates, roots: [root], now, check, leafKeyUsage: 'digitalSignature' }).length === 2
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    return false
  }
}

/** id-at-commonName. */
const COMMON_NAME = Buffer.from('0603550403', 'hex')

function hasCommonName({ subject }: ParsedCertificate, wanted: string): boolean {
  return parseDer(subject, derTags.sequence)
    .children.flatMap(({ children }) => children)
    .some(({ children: [id, value] }) => {
      const isName = id !== undefined && COMMON_NAME.equals(id.der)
      return isName && value !== undefined && Buffer.from(value.content).toString('utf8') === wanted
    })
}
