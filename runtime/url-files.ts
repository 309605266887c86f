import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { z } from 'zod'
import { privacyProblem } from './private-file.ts'

/** Settings that hold a password. Each can be a line of a file instead, which NAME_FILE names. */
export const urlVariables = [
  'DATABASE_URL',
  'QFLARE_DATABASE_URL_AUDITOR',
  'QFLARE_DATABASE_URL_WORKER',
  'QFLARE_DATABASE_URL_SEQUENCER',
  'QFLARE_DATABASE_URL_QUEUES',
  'QFLARE_DATABASE_URL_MIGRATOR',
  'QFLARE_DATABASE_URL_DIRECT',
  'REDIS_URL',
  'QFLARE_TEMPORAL_REDIS_URL',
] as const

const path = z.string().min(1).optional()

/** So that each of them is a variable that is known. */
export const urlFileVariables = {
  DATABASE_URL_FILE: path,
  QFLARE_DATABASE_URL_AUDITOR_FILE: path,
  QFLARE_DATABASE_URL_WORKER_FILE: path,
  QFLARE_DATABASE_URL_SEQUENCER_FILE: path,
  QFLARE_DATABASE_URL_QUEUES_FILE: path,
  QFLARE_DATABASE_URL_MIGRATOR_FILE: path,
  QFLARE_DATABASE_URL_DIRECT_FILE: path,
  REDIS_URL_FILE: path,
  QFLARE_TEMPORAL_REDIS_URL_FILE: path,
} satisfies Record<`${(typeof urlVariables)[number]}_FILE`, z.ZodType>

type Present = Record<string, string | undefined>

/** The settings with what the files hold in the place of their names; each problem begins with the name of its variable. */
export function readUrlFiles(variables: Present): { variables: Present; problems: string[] } {
  const read: Present = { ...variables }
  const problems: string[] = []
  for (const name of urlVariables) {
    const file = variables[`${name}_FILE`]
    if (file === undefined) continue
    if (variables[name] !== undefined) {
      problems.push(`${name}_FILE: is set, and ${name} too; leave one of them out.`)
      continue
    }
    try {
      const text = readPrivateFile(file).trim()
      if (text === '') problems.push(`${name}_FILE: ${file} is empty.`)
      else read[name] = text
    } catch (error) {
      problems.push(`${name}_FILE: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  return { variables: read, problems }
}

const MAX_BYTES = 4_096

/** As `readSecretFile` reads, but at once: settings are read before there is anything that could wait. */
function readPrivateFile(path: string): string {
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const facts = fstatSync(file)
    if (!facts.isFile()) throw new Error(`${path} is no regular file.`)
    const problem = privacyProblem({ permissions: facts.mode & 0o777, ownerId: facts.uid })
    if (problem !== undefined) throw new Error(`${path}: ${problem}`)
    const buffer = Buffer.alloc(MAX_BYTES + 1)
    let length = 0
    for (let bytes = -1; bytes !== 0 && length <= MAX_BYTES; length += bytes) {
      bytes = readSync(file, buffer, length, buffer.length - length, null)
    }
    if (length > MAX_BYTES) throw new Error(`${path} is larger than ${MAX_BYTES} bytes.`)
    return buffer.toString('utf8', 0, length)
  } finally {
    closeSync(file)
  }
}
