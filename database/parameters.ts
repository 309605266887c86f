type Scalar = string | number | boolean | Date | Uint8Array | null | undefined

/** A value as PostgreSQL's protocol takes it: text, or bytes as they are. Arrays hold texts and numbers. */
export function toParameter(value: unknown): string | Buffer | null {
  if (Array.isArray(value)) return toArrayLiteral(value as Scalar[])
  return toScalar(value as Scalar)
}

function toScalar(value: Scalar): string | Buffer | null {
  if (value === null || value === undefined) return null
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  if (value instanceof Date) return value.toISOString()
  return String(value)
}

/** PostgreSQL manual, "Array Input and Output Syntax": every element is quoted. */
function toArrayLiteral(values: readonly Scalar[]): string {
  const elements = values.map((value) => {
    const text = toScalar(value)
    if (text === null) return 'NULL'
    if (typeof text !== 'string') throw new TypeError('An array of bytes is not needed anywhere yet.')
    return `"${text.replace(/[\\"]/g, '\\$&')}"`
  })
  return `{${elements.join(',')}}`
}
