import { malformedEvidence } from '../../evidence-format.ts'
import { derTags, parseDer } from '../../x509/der.ts'
import { type ParsedCertificate, parseCertificate } from '../../x509/parse-certificate.ts'
import { type ProductName, productNames, products, type Tcb } from './products.ts'

/** What AMD certifies of a VCEK or VLEK (57230, revision 1.00, table 10, and 58369). Nothing of it is verified. */
export interface EndorsementKey {
  certificate: ParsedCertificate
  product: ProductName
  /** With the stepping, such as `Milan-B0`; that of a VLEK has none. */
  productName: string
  tcb: Tcb
  /** Of a VCEK: as many bytes as its product has. */
  chipId: Uint8Array | undefined
  /** Of a VLEK: the cloud that it was issued to. */
  provider: string | undefined
}

const amd = (suffix: string) => `1.3.6.1.4.1.3704.1.${suffix}`
const PRODUCT_NAME = amd('2')
const HARDWARE_ID = amd('4')
const PROVIDER = amd('5')
const STRUCTURE_VERSION = amd('1')
/** Two of Milan and Genoa, and of Turin, which has one more patch level. */
const structureVersions = [0, 1]
const patchLevels = {
  fmc: amd('3.9'),
  bootloader: amd('3.1'),
  tee: amd('3.2'),
  snp: amd('3.3'),
  microcode: amd('3.8'),
} as const satisfies Record<keyof Tcb, string>

const OCTET_STRING = 0x04
const COMMON_NAME = Buffer.from('550403', 'hex')
/** UTF8String, PrintableString, IA5String. */
const textTags = [0x0c, 0x13, 0x16]
const shortText = /^[^\p{C}]{1,128}$/u

/** DER. Attacker-controlled input. Throws `evidence_malformed`. */
export function parseEndorsementKey(der: Uint8Array): EndorsementKey {
  const certificate = parseCertificate(der)
  const productName = readText(needed(certificate, PRODUCT_NAME))
  const product = productNames.find((name) => new RegExp(`^${name}(-[A-Z][0-9])?$`).test(productName))
  if (product === undefined) throw malformedEvidence('The certificate of the key is of a product that is not known.')
  if (!structureVersions.includes(readByte(needed(certificate, STRUCTURE_VERSION)))) {
    throw malformedEvidence('The certificate of the key has extensions of a version that is not known.')
  }
  const chipId = certificate.extensions.get(HARDWARE_ID)
  const provider = certificate.extensions.get(PROVIDER)
  const parts = Object.keys(products[product].tcb) as (keyof Tcb)[]
  return {
    certificate,
    product,
    productName,
    tcb: Object.fromEntries(parts.map((part) => [part, readByte(needed(certificate, patchLevels[part]))])),
    chipId: chipId && readChipId(chipId, products[product].chipIdBytes),
    provider: provider && readText(provider),
  }
}

/** The one common name in a Name of DER, `ARK-Milan` for one; undefined where it has none, or several. */
export function commonNameOf(name: Uint8Array): string | undefined {
  const attributes = parseDer(name, derTags.sequence).children.flatMap(({ children }) => children)
  const found = attributes.filter(({ children: [id] }) => id !== undefined && COMMON_NAME.equals(id.content))
  const [value] = found.map(({ children }) => children[1])
  return found.length === 1 && value !== undefined ? Buffer.from(value.content).toString('latin1') : undefined
}

function needed({ extensions }: ParsedCertificate, id: string): Uint8Array {
  const value = extensions.get(id)
  if (value === undefined) throw malformedEvidence(`The certificate of the key lacks the extension ${id}.`)
  return value
}

function readByte(value: Uint8Array): number {
  const { content } = parseDer(value, derTags.integer)
  const number = BigInt(`0x${Buffer.from(content).toString('hex')}`)
  if ((content[0] as number) >= 0x80 || number > 0xffn) {
    throw malformedEvidence('The certificate of the key holds a number that is no byte.')
  }
  return Number(number)
}

function readText(value: Uint8Array): string {
  const tag = value[0] ?? 0
  const text = Buffer.from(parseDer(value, tag).content).toString('latin1')
  if (!textTags.includes(tag) || !shortText.test(text)) {
    throw malformedEvidence('The certificate of the key holds a name that is no text of at most 128 characters.')
  }
  return text
}

/** Real certificates have the bytes as they are; an OCTET STRING of them is the same. */
function readChipId(value: Uint8Array, length: number): Uint8Array {
  const chipId = value.length === length ? value : parseDer(value, OCTET_STRING).content
  if (chipId.length !== length) throw malformedEvidence(`The certificate of the key has no chip id of ${length} bytes.`)
  return chipId
}
