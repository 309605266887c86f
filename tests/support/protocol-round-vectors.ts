import { readFileSync } from 'node:fs'
import type { Json } from '../../protocol/encoding.ts'

/** tests/vectors/qflare/round-v1.json, made by a program that shares no code with the repository. */
export interface RoundVectors {
  seeds: Record<'rootA' | 'rootB' | 'bucket' | 'attestation' | 'audit', string>
  pins: Record<'rootA' | 'rootB', string>
  federationId: string
  round: number
  devices: (Record<
    'deviceId' | 'sessionId' | 'chain' | 'key' | 'commitment' | 'identitySeed' | 'kid' | 'ear',
    string
  > & {
    epoch: number
  })[]
  coordinator: Record<'deviceId' | 'sessionId' | 'chain', string> & { epoch: number }
  roundContext: string
  sealContext: string
  sealKey: string
  plaintext: string
  sealed: Record<'sessionId' | 'nonce' | 'ciphertext', string>
  signedBytesHash: string
  certificateHash: string
  file: { [member: string]: Json }
}

const path = new URL('../vectors/qflare/round-v1.json', import.meta.url)

export const roundVectors = JSON.parse(readFileSync(path, 'utf8')) as RoundVectors
