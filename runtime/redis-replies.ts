const [CR, LF, BULK, ARRAY] = [0x0d, 0x0a, 0x24, 0x2a]

/** Of what a Redis has sent so far in RESP2: where the last whole reply ends. */
export function endOfReplies(bytes: Uint8Array): number {
  let end = 0
  for (;;) {
    const next = endOfReply(bytes, end)
    if (next === undefined) return end
    end = next
  }
}

/** Undefined where the reply that begins at `at` is not all there. */
function endOfReply(bytes: Uint8Array, at: number): number | undefined {
  const lineEnd = bytes.indexOf(CR, at)
  if (lineEnd < 0 || bytes[lineEnd + 1] !== LF) return undefined
  let end: number | undefined = lineEnd + 2
  const type = bytes[at]
  if (type !== BULK && type !== ARRAY) return end
  // -1 is for none at all.
  const length = Number(new TextDecoder().decode(bytes.subarray(at + 1, lineEnd)))
  if (type === BULK) return length < 0 ? end : within(bytes, end + length + 2)
  for (let left = length; left > 0 && end !== undefined; left--) end = endOfReply(bytes, end)
  return end
}

function within(bytes: Uint8Array, end: number): number | undefined {
  return end <= bytes.length ? end : undefined
}
