import { derTags, parseDer } from '../../x509/der.ts'
import type { ParsedCertificate } from '../../x509/parse-certificate.ts'

/** Attributes of names, in DER without tag and length. */
const ORGANIZATION = '55040a'
const TITLE = '55040c'

/**
 * Whether it is a StrongBox that a root vouches for: of the certificates between root and leaf the first that is not of an authority of
 * Google itself has it as its title (keys of the factory), or as its organization (remotely provisioned ones). What stands further
 * below says nothing: whoever has got hold of a key of a TEE certifies with it whatever he likes.
 *
 * `path`: verified, leaf first, with the root.
 */
export function isOfStrongBox(path: readonly ParsedCertificate[]): boolean {
  const device = path.slice(1, -1).findLast((one) => !valuesOf(one, ORGANIZATION).includes('Google LLC'))
  return device !== undefined && [...valuesOf(device, TITLE), ...valuesOf(device, ORGANIZATION)].includes('StrongBox')
}

function valuesOf({ subject }: ParsedCertificate, wanted: string): string[] {
  return parseDer(subject, derTags.sequence)
    .children.flatMap(({ children }) => children)
    .filter(({ children: [id] }) => id !== undefined && Buffer.from(id.content).toString('hex') === wanted)
    .flatMap(({ children: [, value] }) => (value === undefined ? [] : [Buffer.from(value.content).toString('latin1')]))
}
