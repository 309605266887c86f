import { rm } from 'node:fs/promises'
import { formatTlogProof, parseTlogProof } from '../../protocol/log/tlog-proof.ts'
import { writeNewFile } from './new-file.ts'

const FILE_MODE = 0o600

/** What `qflare audit verify` takes: an event as it was hashed, and the proof beside it. */
export interface ProofFiles {
  event: string
  proof: string
}

/** `NAME.json` and `NAME.tlog-proof`, the proof without its extra data, which nobody signed. Both or none. Exit code 4. */
export async function writeProofFiles(name: string, entry: string, proof: string): Promise<ProofFiles> {
  const files = { event: `${name}.json`, proof: `${name}.tlog-proof` }
  await writeNewFile(files.event, entry, FILE_MODE)
  try {
    await writeNewFile(files.proof, formatTlogProof(parseTlogProof(proof)), FILE_MODE)
  } catch (error) {
    await rm(files.event, { force: true })
    throw error
  }
  return files
}
