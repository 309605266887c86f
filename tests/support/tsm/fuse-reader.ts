import { readSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'

// Waits for requests of FUSE in a thread of its own, so that none of those is taken which file operations of the test need.
const { descriptor } = workerData as { descriptor: number }
const buffer = Buffer.alloc(64 * 1024)
for (;;) {
  try {
    const length = readSync(descriptor, buffer)
    parentPort?.postMessage(Uint8Array.from(buffer.subarray(0, length)))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // ENOENT, EINTR: whoever asked has gone. ENODEV: it is unmounted.
    if (code !== 'ENOENT' && code !== 'EINTR') break
  }
}
