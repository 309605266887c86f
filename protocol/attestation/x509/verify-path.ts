import { refusedEvidence } from '../evidence-format.ts'
import type { ParsedCertificate } from './parse-certificate.ts'
import { firstBroken, issuerRules, leafRules, type PathCheck, type PathTerms, type Step } from './path-rules.ts'
import { isSignedBy } from './signature-algorithms.ts'

export interface PathOptions extends PathTerms {
  leaf: ParsedCertificate
  /** Untrusted: those of the evidence, and trust anchors of the kind intermediate. */
  intermediates: readonly ParsedCertificate[]
  /** Trust anchors of the kind root, and nothing else. A path ends at one of these very objects, whatever another one says that it is. */
  roots: readonly ParsedCertificate[]
  /** What the names of the checks begin with: of `tpm2.ek_path` comes `tpm2.ek_path.signature`. */
  check: string
}

/** With the leaf and the root. */
const MAX_PATH = 8
/** In the search for one path. Who writes evidence chooses what there is to try. */
const MAX_SIGNATURES = 16

interface Search {
  options: PathOptions
  signatures: number
}

interface Refusal {
  check: PathCheck
  message: string
  /** How many certificates of the path were good. */
  depth: number
}

type Path = Step['path']

/**
 * The path from the leaf to one of the roots, in which every check of RFC 5280 §6.1 holds at `now` (docs/attestation-formats.md has
 * them all, and what is stricter). `evidence_refused` when there is none, with what is wrong with the one that goes furthest.
 * Revocation is not looked at. Untrusted certificates may be in any order, and as many as the caller allows.
 */
export function verifyPath(options: PathOptions): readonly ParsedCertificate[] {
  const { leaf, check } = options
  const broken = firstBroken(leafRules, leaf, options)
  if (broken !== undefined) throw refusedEvidence(`${check}.${broken.check}`, broken.message)
  const found = findPath([leaf], { options, signatures: 0 })
  if ('check' in found) throw refusedEvidence(`${check}.${found.check}`, found.message)
  return found
}

function findPath(path: Path, search: Search): Path | Refusal {
  const { roots, intermediates } = search.options
  const depth = path.length
  let furthest: Refusal | undefined
  for (const issuer of [...roots, ...intermediates].filter((one) => mayFollow(one, path))) {
    const broken = whatIsWrong({ issuer, path }, search)
    const longer: Path = [...path, issuer]
    const found =
      broken === undefined ? (roots.includes(issuer) ? longer : findPath(longer, search)) : { ...broken, depth }
    if (!('check' in found)) return found
    if (furthest === undefined || found.depth > furthest.depth) furthest = found
  }
  return furthest ?? { check: 'anchor', message: 'No trust anchor is known that the certificate leads to.', depth }
}

/** By its name, and not in the path already: neither itself nor another certificate of the same name and key. */
function mayFollow(issuer: ParsedCertificate, path: Path): boolean {
  const isSame = (one: ParsedCertificate) =>
    one.subjectId === issuer.subjectId && Buffer.from(one.spki).equals(issuer.spki)
  return issuer.subjectId === path.at(-1)?.issuerId && !path.some(isSame)
}

function whatIsWrong(step: Step, search: Search): Omit<Refusal, 'depth'> | undefined {
  if (step.path.length >= MAX_PATH || search.signatures === MAX_SIGNATURES) {
    return { check: 'length', message: 'There are too many certificates between the leaf and a root.' }
  }
  const broken = firstBroken(issuerRules, step, search.options)
  if (broken !== undefined) return broken
  search.signatures++
  const isGood = isSignedBy(step.path.at(-1) as ParsedCertificate, step.issuer.publicKey)
  return isGood ? undefined : { check: 'signature', message: 'A certificate is not signed by its issuer.' }
}
