import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { whyUnreadable } from '../support/process-memory.ts'
import { searchMemory } from '../support/search-places.ts'
import { crypto } from '../support/service.ts'

const opener = fileURLToPath(new URL('../support/open-sealed-values.ts', import.meta.url))
const VALUES = 500

test.for([
  ['chains', 64],
  ['epoch keys', 32],
] as const)('%s that were opened and wiped are not left in memory that was freed', async ([what, length], { skip }) => {
  const key = crypto.randomBytes(32)
  const values = Array.from({ length: VALUES }, (_, index) => {
    const bytes = crypto.randomBytes(length)
    const nonce = crypto.randomBytes(12)
    const sealed = crypto.sealAesGcm(key, nonce, bytes, new Uint8Array(0))
    const line = [key, nonce, sealed].map((part) => Buffer.from(part).toString('base64')).join(' ')
    return { what: `${what} ${index}`, bytes, line }
  })
  const child = spawn(process.execPath, [opener], { stdio: ['pipe', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const why = whyUnreadable(child.pid as number)
  skip(why !== undefined, `the kernel does not show this user the memory of another process: ${why}`)
  child.stdin.end(values.map(({ line }) => line).join('\n'))
  await once(child.stdout, 'data')
  expect(searchMemory(child.pid as number, [{ what: 'key', bytes: key }]).found()).not.toEqual([])
  expect(searchMemory(child.pid as number, values).foundAt()).toEqual([])
})
