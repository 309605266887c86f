import { readFileSync } from 'node:fs'

/** tests/vectors/qflare/log-v1.json, made by a program that shares no code with the repository. */
export interface LogVectors {
  seeds: Record<'mlDsa44' | 'mlDsa87' | 'witness', string>
  origin: string
  verifierKeys: Record<'mlDsa44' | 'mlDsa87' | 'witness' | 'retired', string>
  leavesJcs: string[]
  leafHashes: string[]
  roots: Record<'5' | '7', string>
  timestamps: Record<'older' | 'newer' | 'witness', number>
  cosigned: Record<'newer' | 'witness', string>
  checkpoints: Record<'older' | 'newer', string>
  consistency: string[]
  proof: string
  exports: Record<'whole' | 'part', string>
}

const path = new URL('../vectors/qflare/log-v1.json', import.meta.url)

export const logVectors = JSON.parse(readFileSync(path, 'utf8')) as LogVectors
