import { lookup } from 'node:dns/promises'
import { request } from 'node:http'
import { json } from 'node:stream/consumers'
import { z } from 'zod'

/** A process that answers, and whose release is older. */
export interface OlderProcess {
  address: string
  version: string
}

const TIMEOUT_MS = 5_000
const versionAnswer = z.looseObject({ version: z.string().max(64) })

/** All that a name stands for, none where nobody has it. Throws when it cannot be looked up. */
export async function listAddresses(name: string): Promise<string[]> {
  try {
    return (await lookup(name, { all: true })).map(({ address }) => address)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTFOUND') return []
    throw error
  }
}

/**
 * Each asked at its operator port (`GET /version`): those of a release before `version`. One that does not answer is starting or gone,
 * and none of them.
 */
export async function findOlderProcesses(
  addresses: readonly string[],
  { port, version }: { port: string; version: string },
): Promise<OlderProcess[]> {
  const asked = await Promise.all(
    addresses.map(async (address) => ({ address, version: await askVersion(address, port) })),
  )
  return asked.filter((found): found is OlderProcess => found.version !== undefined && isOlder(found.version, version))
}

async function askVersion(host: string, port: string): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>()
  const sending = request({ host, port, path: '/version', signal: AbortSignal.timeout(TIMEOUT_MS) })
  sending.on('error', () => resolve(undefined))
  sending.on('response', (response) => {
    json(response).then(
      (body) => resolve(versionAnswer.safeParse(body).data?.version),
      () => resolve(undefined),
    )
  })
  sending.end()
  return promise
}

/** By the numbers of semantic versions. What comes before a release (`1.0.0-rc.1`) is older than it; more is not told apart. */
export function isOlder(one: string, other: string): boolean {
  const [left, right] = [numbersOf(one), numbersOf(other)]
  const place = left.findIndex((number, index) => number !== right[index])
  if (place !== -1) return (left[place] ?? 0) < (right[place] ?? 0)
  return one.includes('-') && !other.includes('-')
}

function numbersOf(version: string): number[] {
  return [0, 1, 2].map((place) => Number.parseInt(version.split(/[.+-]/)[place] ?? '', 10) || 0)
}
