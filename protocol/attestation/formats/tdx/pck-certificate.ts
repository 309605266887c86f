import { malformedEvidence } from '../../evidence-format.ts'
import { type DerElement, derParts, derTags, parseDer } from '../../x509/der.ts'
import { type ParsedCertificate, parseCertificate } from '../../x509/parse-certificate.ts'
import { parsePem } from '../../x509/pem.ts'

/** Of the evidence: untrusted. */
export interface PckCertificates {
  leaf: ParsedCertificate
  chain: readonly ParsedCertificate[]
  platform: Platform
}

/** What Intel says of a platform in its PCK certificate. */
export interface Platform {
  /** Hexadecimal: which TCB info it is held against. */
  fmspc: string
  pceId: string
  /** Sixteen security version numbers, which CPUSVN stands for. */
  components: readonly number[]
  pceSvn: number
}

const MAX_CERTIFICATES = 4
const SGX_EXTENSIONS = '1.2.840.113741.1.13.1'
/** The same, in DER without tag and length. */
const PREFIX = '2a864886f84d010d01'
const TCB = '02'
const PCEID = '03'
const FMSPC = '04'
const COMPONENTS = 16
const PCESVN = 17
const OCTET_STRING = 0x04

/** PEM, leaf first, with a NUL behind it in real quotes. Attacker-controlled input. Throws `evidence_malformed`. */
export function parsePckChain(bytes: Uint8Array): PckCertificates {
  const text = Buffer.from(bytes).toString('latin1').replace(/\0$/, '')
  const found = parsePem(text, 'CERTIFICATE')
  if (found.length > MAX_CERTIFICATES) throw malformedEvidence('The PCK certificate comes with too many others.')
  const [leaf, ...chain] = found.map(parseCertificate)
  if (leaf === undefined) throw malformedEvidence('The quote holds no PCK certificate.')
  return { leaf, chain, platform: readPlatform(leaf) }
}

/** "SGX PCK Certificate and CRL Profile Specification", §1.3.5. */
function readPlatform({ extensions }: ParsedCertificate): Platform {
  const value = extensions.get(SGX_EXTENSIONS)
  if (value === undefined) throw malformedEvidence('The PCK certificate says nothing of its platform.')
  const parts = readMembers(parseDer(value, derTags.sequence), PREFIX)
  const tcb = readMembers(find(parts, TCB, derTags.sequence), PREFIX + TCB)
  return {
    fmspc: readOctets(find(parts, FMSPC, OCTET_STRING), 6),
    pceId: readOctets(find(parts, PCEID, OCTET_STRING), 2),
    components: Array.from({ length: COMPONENTS }, (_, index) => readSvn(tcb, index + 1, 1)),
    pceSvn: readSvn(tcb, PCESVN, 2),
  }
}

/** A SEQUENCE of identifiers below `prefix`, each with its value, by what follows it in hexadecimal. */
function readMembers(sequence: DerElement, prefix: string): Map<string, DerElement> {
  const members = new Map<string, DerElement>()
  for (const member of derParts(sequence, /^30( 30)*$/)) {
    const [identifier, value] = derParts(member, /^06 ..$/) as [DerElement, DerElement]
    const id = Buffer.from(identifier.content).toString('hex')
    if (!id.startsWith(prefix) || members.has(id.slice(prefix.length))) {
      throw malformedEvidence('The PCK certificate says something else than of its platform, or something twice.')
    }
    members.set(id.slice(prefix.length), value)
  }
  return members
}

function find(members: ReadonlyMap<string, DerElement>, id: string, tag: number): DerElement {
  const found = members.get(id)
  if (found?.tag !== tag) throw malformedEvidence('The PCK certificate does not say everything of its platform.')
  return found
}

function readOctets({ content }: DerElement, length: number): string {
  if (content.length !== length) throw malformedEvidence('The PCK certificate names a platform of another length.')
  return Buffer.from(content).toString('hex')
}

/** An INTEGER of at most that many bytes; a zero before it makes it positive. */
function readSvn(tcb: ReadonlyMap<string, DerElement>, id: number, bytes: number): number {
  const { content } = find(tcb, id.toString(16).padStart(2, '0'), derTags.integer)
  const value = content.length <= bytes + 1 ? Buffer.from(content).readIntBE(0, content.length) : -1
  if (value < 0 || value >= 256 ** bytes) throw malformedEvidence('The PCK certificate holds no version number.')
  return value
}
