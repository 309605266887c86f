import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { FloodOrder, FloodReport } from './flood.ts'

export interface Flood {
  /** Ends it, and says what was sent and answered. */
  stop(): Promise<FloodReport>
}

/** Resolves when forged exchanges are on their way. */
export async function startFlood(url: string, order: Omit<FloodOrder, 'order' | 'url'>): Promise<Flood> {
  const child = fork(fileURLToPath(new URL('flood.ts', import.meta.url)), [], { stdio: 'inherit' })
  const ended = once(child, 'exit').then(() => {
    throw new Error('The flood ended early.')
  })
  ended.catch(() => {})
  const ask = async (message: FloodOrder | { order: 'stop' }): Promise<unknown> => {
    const answered = once(child, 'message')
    child.send(message)
    const [answer] = (await Promise.race([answered, ended])) as [unknown]
    return answer
  }
  await ask({ order: 'start', url, ...order })
  return { stop: async () => (await ask({ order: 'stop' })) as FloodReport }
}
