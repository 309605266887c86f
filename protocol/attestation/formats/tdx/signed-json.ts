import { decode } from 'cborg/json'
import type { z } from 'zod'
import { malformedEvidence } from '../../evidence-format.ts'

export interface SignedJson<Statement> {
  /** The bytes of the statement as they stand in the document. */
  signed: Uint8Array
  /** r and s. */
  signature: Uint8Array
  statement: Statement
}

/** `,"signature":"` and 64 bytes in hexadecimal, and the end. */
const ending = /^,"signature":"([0-9a-fA-F]{128})"\}$/
const ENDING_LENGTH = 144
/** Without white space around the document, which a file may have. */
const MAX_WHITE_SPACE = 16

/**
 * `{"<member>":{…},"signature":"<hex>"}` as the PCS answers it: nothing else stands around the statement, so that its bytes can be cut
 * out; no member stands twice. Untrusted bytes. Throws `evidence_malformed`.
 */
export function parseSignedJson<Schema extends z.ZodType>(
  body: Uint8Array,
  member: string,
  schema: Schema,
): SignedJson<z.output<Schema>> {
  const text = withoutWhiteSpace(Buffer.from(body).toString('latin1'))
  const beginning = `{"${member}":`
  const [, signature] = ending.exec(text.slice(-ENDING_LENGTH)) ?? []
  if (!text.startsWith(beginning) || signature === undefined) {
    throw malformedEvidence(`The document is not made of ${member} and signature.`)
  }
  const signed = Buffer.from(text.slice(beginning.length, -ENDING_LENGTH), 'latin1')
  const { data, error } = schema.safeParse(parseJson(signed))
  if (error) throw malformedEvidence(`The document holds no ${member} that is known.`, { cause: error })
  return { signed, signature: Buffer.from(signature, 'hex'), statement: data }
}

function withoutWhiteSpace(text: string): string {
  const trimmed = text.trim()
  if (text.length - trimmed.length > MAX_WHITE_SPACE) throw malformedEvidence('The document is mostly empty.')
  return trimmed
}

/** Exactly one value. */
function parseJson(bytes: Uint8Array): unknown {
  try {
    // JSON.parse would take the last of two members; this is what refuses them.
    decode(Uint8Array.from(bytes), { useMaps: true, rejectDuplicateMapKeys: true })
    return JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch (cause) {
    throw malformedEvidence('A statement is not JSON, or has a member twice.', { cause })
  }
}
