import { corimInvalid, readBytes, readList, toHex } from './read-members.ts'

const sha256 = { name: 'sha-256', bytes: 32 } as const
const sha384 = { name: 'sha-384', bytes: 48 } as const
const sha512 = { name: 'sha-512', bytes: 64 } as const

/** By number or by name of IANA's Named Information Hash Algorithm Registry. */
const algorithms: ReadonlyMap<unknown, typeof sha256 | typeof sha384 | typeof sha512> = new Map<
  unknown,
  typeof sha256 | typeof sha384 | typeof sha512
>([
  [1, sha256],
  [7, sha384],
  [8, sha512],
  [sha256.name, sha256],
  [sha384.name, sha384],
  [sha512.name, sha512],
])

/** Of one thing, each with another algorithm (draft-ietf-rats-corim-11 §7.7); their values in hexadecimal. Throws `corim_invalid`. */
export function readDigests(value: unknown, where: string): string[] {
  const found = readList(value, where).map((digest, index) => readDigest(digest, `${where}[${index}]`))
  if (new Set(found.map(({ name }) => name)).size < found.length) {
    throw corimInvalid(`${where} has two digests of one algorithm.`)
  }
  return found.map(({ hex }) => hex)
}

/** One of 48 bytes. */
export function readSha384(value: unknown, where: string): string {
  const { name, hex } = readDigest(value, where)
  if (name !== sha384.name) throw corimInvalid(`${where} is no SHA-384.`)
  return hex
}

function readDigest(value: unknown, where: string): { name: string; hex: string } {
  const [id, bytes, ...more] = readList(value, where)
  const algorithm = algorithms.get(id)
  if (algorithm === undefined) throw corimInvalid(`${where} is of none of SHA-256, SHA-384 and SHA-512.`)
  const digest = readBytes(bytes, where)
  if (digest.length !== algorithm.bytes || more.length > 0) {
    throw corimInvalid(`${where} is not ${algorithm.name} and ${algorithm.bytes} bytes.`)
  }
  return { name: algorithm.name, hex: toHex(digest) }
}
