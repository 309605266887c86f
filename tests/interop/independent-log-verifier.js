// A verifier of QFLARE's audit log written from docs/protocol.md §7, RFC 9162 and the C2SP documents signed-note,
// tlog-checkpoint, tlog-cosignature, tlog-tiles and tlog-proof alone: it shares no code with the repository and uses nothing
// but Node's builtins (Node 24 or newer, for ML-DSA).
//   node independent-log-verifier.js verify-proof PROOF EVENT.json VKEY…
//   node independent-log-verifier.js verify-consistency OLDER-CHECKPOINT NEWER-CHECKPOINT CONSISTENCY.json VKEY…
//   node independent-log-verifier.js verify-export FILE VKEY…
// VKEY: a verifier key of the log, as C2SP signed-note writes it; of each algorithm among them one has to have signed.
// One JSON object on stdout, or one message on stderr and exit 1.
import { createReadStream, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { decimal, decode, openCheckpoint, text, vkeysOfBundle } from './independent-note.js'
import {
  growingTree,
  isSame,
  leafHash,
  must,
  rootFromTiles,
  rootsOver,
  verifyConsistency,
  verifyInclusion,
} from './independent-tree.js'

export { openCheckpoint, rootFromTiles, rootsOver, verifyConsistency, verifyInclusion, vkeysOfBundle }

// ---- JSON ----------------------------------------------------------------------------------------------------------
/** RFC 8785. Deeper than this, JSON is an attack. */
const MAX_DEPTH = 100
export function jcs(value, depth = 0) {
  if (typeof value === 'string') must(value.isWellFormed(), 'text with a lone surrogate')
  if (typeof value === 'number') must(Number.isFinite(value), 'a number that is not finite')
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  must(depth < MAX_DEPTH, 'JSON that is nested too deep')
  if (Array.isArray(value)) return `[${value.map((item) => jcs(item, depth + 1)).join(',')}]`
  const members = Object.keys(value).sort() // by UTF-16 code units, as RFC 8785 wants
  return `{${members.map((k) => `${jcs(k)}:${jcs(value[k], depth + 1)}`).join(',')}}`
}

// ---- C2SP tlog-proof --------------------------------------------------------------------------------------------------
/** That the event, parsed or as its bytes, is in the log of these keys. */
export function verifyProof(proof, event, vkeys) {
  const end = proof.indexOf('\n\n')
  must(end >= 0, 'a proof without a checkpoint')
  const lines = proof.slice(0, end).split('\n')
  must(lines.shift() === 'c2sp.org/tlog-proof@v1', 'no c2sp.org/tlog-proof@v1')
  if (lines[0]?.startsWith('extra ')) lines.shift()
  const [, index] = /^index (.*)$/.exec(lines.shift() ?? '') ?? []
  must(index !== undefined, 'a proof without an index')
  const path = lines.map((line) => decode(line, 'base64', 32, 'a hash of the proof'))
  must(path.length <= 63, 'a proof of too many hashes')
  const checkpoint = openCheckpoint(proof.slice(end + 2), vkeys)
  const entry = event instanceof Uint8Array ? event : text(jcs(event))
  const at = decimal(index, 'the index')
  verifyInclusion(leafHash(entry), at, checkpoint.size, path, checkpoint.root)
  return { index: at, checkpoint }
}

// ---- The export: docs/protocol.md §7 ------------------------------------------------------------------------------------
/** Of the lines without their ends, as a list or a stream. What is wrong is thrown, with the entry where one can be named. */
export async function verifyExport(lines, vkeys) {
  let header
  let tree
  let next = 0
  let checkpoint
  const leaves = []
  const events = []
  for await (const line of lines) {
    if (header === undefined) {
      header = parseHeader(line)
      next = header.from
      tree = growingTree(BigInt(header.from), header.frontier)
    } else if (next < header.to) {
      const { leaf, event } = parseEntry(line, next)
      tree.add(leaf)
      leaves.push(leaf)
      events.push(event)
      next += 1
    } else {
      must(checkpoint === undefined, 'the export goes on behind its checkpoint')
      checkpoint = verifyEnd(line, header, tree.root(), vkeys)
    }
  }
  must(checkpoint !== undefined, `the export ends before ${header === undefined ? 'it begins' : `entry ${next}`}`)
  return { origin: header.origin, from: header.from, to: header.to, checkpoint, leaves, events }
}

function parseHeader(line) {
  const { v, origin, from, to, frontier } = JSON.parse(line)
  must(v === 1 && typeof origin === 'string' && Array.isArray(frontier), 'no export of version 1')
  must(Number.isSafeInteger(from) && Number.isSafeInteger(to) && from >= 0 && from <= to, 'no range of entries')
  must(line === JSON.stringify({ v, origin, from, to, frontier }), 'the first line says more than an export does')
  return { origin, from, to, frontier: frontier.map((hash) => decode(hash, 'base64url', 32, 'a hash of the frontier')) }
}

/** A line is exactly its index, its event in canonical JSON unless only the hash is there, and the hash. */
function parseEntry(line, index) {
  const parsed = JSON.parse(line)
  must(parsed?.index === index, `entry ${index} is missing or not in its place`)
  const given = parsed.leafHash === undefined ? undefined : decode(parsed.leafHash, 'base64url', 32, 'a leaf hash')
  const hash = given === undefined ? '' : `,"leafHash":"${parsed.leafHash}"`
  if (parsed.event === undefined) {
    must(given !== undefined && line === `{"index":${index}${hash}}`, `the line of entry ${index} is none`)
    return { leaf: given }
  }
  const entry = jcs(parsed.event)
  must(line === `{"index":${index},"event":${entry}${hash}}`, `the line of entry ${index} is not as it was hashed`)
  must(entry.startsWith('{'), `the event of entry ${index} is none`)
  const leaf = leafHash(text(entry))
  must(given === undefined || isSame(leaf, given), `entry ${index} is not the one that was logged`)
  return { leaf, event: parsed.event }
}

function verifyEnd(line, { origin, to }, root, vkeys) {
  const { checkpoint: note, consistency } = JSON.parse(line)
  must(line === JSON.stringify({ checkpoint: note, consistency }), 'the last line says more than an export does')
  must(typeof note === 'string', 'the export does not end with a checkpoint')
  const checkpoint = openCheckpoint(note, vkeys)
  must(checkpoint.origin === origin, `the checkpoint is of ${checkpoint.origin}`)
  must(consistency === undefined || Array.isArray(consistency), 'the consistency proof is no list')
  const path = (consistency ?? []).map((hash) => decode(hash, 'base64url', 32, 'a hash of the consistency proof'))
  verifyConsistency(to, checkpoint.size, path, root, checkpoint.root)
  return checkpoint
}

// ---- The command line -----------------------------------------------------------------------------------------------
const read = (path) => new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(readFileSync(path))
const shown = ({ origin, size, root, signedAt }) => ({
  origin,
  size: Number(size),
  root: root.toString('base64'),
  ...(signedAt !== undefined && { signedAt: new Date(Number(signedAt) * 1000).toISOString() }),
})

/** By newlines alone: other characters that end lines elsewhere may stand in an event. */
async function* linesOf(pieces) {
  const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  let left = ''
  for await (const piece of pieces) {
    const lines = (left + utf8.decode(piece, { stream: true })).split('\n')
    left = lines.pop()
    yield* lines
  }
  left += utf8.decode()
  if (left !== '') yield left
}

const commands = {
  'verify-proof'([proof, event, ...vkeys]) {
    const parsed = JSON.parse(read(event))
    const { index, checkpoint } = verifyProof(read(proof), parsed, vkeys)
    return { index: Number(index), event: parsed, checkpoint: shown(checkpoint) }
  },
  'verify-consistency'([olderPath, newerPath, path, ...vkeys]) {
    const [older, newer] = [olderPath, newerPath].map((one) => openCheckpoint(read(one), vkeys))
    must(older.origin === newer.origin, 'checkpoints of two logs')
    const { from, to, hashes } = JSON.parse(read(path))
    must(BigInt(from) === older.size && BigInt(to) === newer.size, 'the proof is between other sizes')
    const decoded = hashes.map((hash) => decode(hash, 'base64url', 32, 'a hash of the proof'))
    verifyConsistency(older.size, newer.size, decoded, older.root, newer.root)
    return { older: shown(older), newer: shown(newer) }
  },
  async 'verify-export'([file, ...vkeys]) {
    const { from, to, events, checkpoint } = await verifyExport(linesOf(createReadStream(file)), vkeys)
    const whole = events.filter((event) => event !== undefined).length
    return { from, to, events: whole, hashesOnly: to - from - whole, checkpoint: shown(checkpoint) }
  },
}

async function main([name, ...rest]) {
  const command = commands[name]
  must(command !== undefined && rest.length >= 2, `usage: ${Object.keys(commands).join(' | ')} … VKEY…`)
  return await command(rest)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    process.stdout.write(`${JSON.stringify(await main(process.argv.slice(2)))}\n`)
  } catch (error) {
    process.stderr.write(`independent-log-verifier: ${error.message}\n`)
    process.exitCode = 1
  }
}
