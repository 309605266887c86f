// For `node --import`: a process that keeps a secret that it should not, in each form in which one could be kept. It is given as its
// complement, so that nothing else in the process has it.

const secret = Buffer.from(process.env['TEST_PLANTED_COMPLEMENT'] ?? '', 'hex').map((byte) => byte ^ 0xff)
const pieces = [0, 1, 2, 3].map((at) => Buffer.from(secret.subarray(32 * at, 32 * at + 32)))

/** What is one text of two pieces is not flat until somebody reads it: so it is made of one. */
const kept = {
  raw: pieces[0],
  hex: pieces[1]?.toString('hex'),
  base64: pieces[2]?.toString('base64url'),
  // A character beyond Latin 1 makes V8 write each one in two bytes.
  wide: Buffer.from(`\u4e00${pieces[3]?.toString('hex')}`, 'utf16le').toString('utf16le'),
}
secret.fill(0)
for (const piece of pieces.slice(1)) piece.fill(0)
Object.assign(globalThis, { plantedSecret: kept })
