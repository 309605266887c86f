import { malformedEvidence } from '../../evidence-format.ts'
import { type DerElement, derChildren, derParts, derTags } from '../../x509/der.ts'
import { type ApplicationId, parseApplicationId } from './application-id.ts'
import { readEnumerated, readNumber } from './values.ts'

export const bootStates = ['verified', 'self-signed', 'unverified', 'failed'] as const
export type BootState = (typeof bootStates)[number]

export type RootOfTrust = {
  /** Hex; all zeros where the boot loader is unlocked, and on some devices always. */
  verifiedBootKey: string
  deviceLocked: boolean
  verifiedBootState: BootState
}

/** What is taken of a list. Whether the hardware or the system's software vouches for it depends on the list that it is in. */
export interface AuthorizationList {
  /** KeyPurpose of KeyMint. */
  purposes: number[]
  algorithm: number | undefined
  /** KeyOrigin of KeyMint. */
  origin: number | undefined
  rootOfTrust: RootOfTrust | undefined
  osVersion: number | undefined
  /** YYYYMM; those of vendor and boot images YYYYMMDD, on some devices YYYYMM as well. */
  osPatchLevel: number | undefined
  vendorPatchLevel: number | undefined
  bootPatchLevel: number | undefined
  applicationId: ApplicationId | undefined
  /** Hex. */
  moduleHash: string | undefined
}

const { integer, octetString, null: nothing, set, sequence } = derTags

const typesOfTags: readonly [type: number, tags: readonly number[]][] = [
  [set, [1, 4, 5, 6, 203]],
  [integer, [2, 3, 10, 11, 200, 400, 401, 402, 405, 504, 505, 701, 702, 705, 706, 718, 719]],
  [nothing, [303, 305, 503, 506, 507, 508, 509, 600, 703, 720, 721]],
  [octetString, [601, 709, 710, 711, 712, 716, 717, 724]],
  [sequence, [704]],
]

/**
 * AuthorizationList of the attestation extension, of all of its versions to 500: the tags that it has, and the type of each. What says
 * which device it is (713 to 715 and 723: serial number, IMEI, MEID) is not among them: nobody asked for that, and it is not kept.
 */
const types: ReadonlyMap<number, number> = new Map(
  typesOfTags.flatMap(([type, tags]) => tags.map((tag) => [tag, type])),
)

/** Tags ascend, each is there once at most. Attacker-controlled input. Throws `evidence_malformed`. */
export function parseAuthorizationList({ children }: DerElement): AuthorizationList {
  const values = new Map<number, DerElement>()
  let before = 0
  for (const child of children) {
    const tag = tagNumber(child)
    if (tag <= before) throw malformedEvidence('The tags of an authorization list do not ascend.')
    const type = types.get(tag)
    if (type === undefined) throw malformedEvidence(`An authorization list has the tag ${tag}, which is not taken.`)
    values.set(tag, derChildren(child, type)[0])
    before = tag
  }
  const find = <T>(tag: number, read: (value: DerElement) => T) => {
    const value = values.get(tag)
    return value && read(value)
  }
  return {
    purposes: find(1, readNumbers) ?? [],
    algorithm: find(2, readNumber),
    origin: find(702, readNumber),
    rootOfTrust: find(704, readRootOfTrust),
    osVersion: find(705, readNumber),
    osPatchLevel: find(706, readNumber),
    vendorPatchLevel: find(718, readNumber),
    bootPatchLevel: find(719, readNumber),
    applicationId: find(709, ({ content }) => parseApplicationId(content)),
    moduleHash: find(724, ({ content }) => hexOf32(content)),
  }
}

/** Of an explicit tag of the class for a context: `[1]` is a1, `[704]` is bf8540. */
function tagNumber({ tag }: DerElement): number {
  const bytes = tag.toString(16)
  if (bytes.startsWith('bf')) return tag < 0x1_0000 ? tag & 0x7f : ((tag & 0x7f00) >> 1) | (tag & 0x7f)
  if (/^[ab]/.test(bytes)) return tag & 0x1f
  throw malformedEvidence('An authorization list holds something else than tagged values.')
}

function readNumbers(element: DerElement): number[] {
  return derParts(element, /^(02( 02)*)?$/).map(readNumber)
}

/** Without the boot hash before Keymaster 4. */
function readRootOfTrust(element: DerElement): RootOfTrust {
  const parts = derParts(element, /^04 01 0a( 04)?$/)
  const [key, locked, state, hash] = parts as [DerElement, DerElement, DerElement, DerElement | undefined]
  if (hash) hexOf32(hash.content)
  return {
    verifiedBootKey: hexOf32(key.content),
    deviceLocked: locked.content[0] === 0xff,
    verifiedBootState: readEnumerated(state, bootStates),
  }
}

function hexOf32(content: Uint8Array): string {
  if (content.length !== 32) throw malformedEvidence('A hash of an attestation does not have 32 bytes.')
  return Buffer.from(content).toString('hex')
}
