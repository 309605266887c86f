import type { Primitives } from '../../protocol/primitives.ts'
import { type RoundCertificate, roundCommitment } from '../../protocol/rounds/round-certificate.ts'
import { readRegularFile, unusable } from './regular-file.ts'

const KEY_BYTES = 64

/** Whether the key that a file holds is the one of this participant, which its commitment shows. Exit code 4 for no such file. */
export async function checkHeldKey(
  crypto: Primitives,
  { federationId, round, participants }: RoundCertificate,
  deviceId: string,
  path: string,
): Promise<{ isCommitted: boolean; detail: string }> {
  const key = await readRegularFile(path, KEY_BYTES)
  if (key.length !== KEY_BYTES) throw unusable(`${path} has ${key.length} bytes, and a round key ${KEY_BYTES}.`)
  const participant = participants.find((one) => one.deviceId === deviceId)
  if (participant === undefined) {
    return { isCommitted: false, detail: `${deviceId} is no participant of this round.` }
  }
  const { sessionId, epoch, commitment } = participant
  const made = roundCommitment(crypto, { deviceId, sessionId, epoch, federationId, round, key })
  key.fill(0)
  return made === commitment
    ? { isCommitted: true, detail: `the key of ${deviceId} in this round` }
    : { isCommitted: false, detail: `The key is not that of ${deviceId} in this round.` }
}
