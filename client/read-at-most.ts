import { type FileHandle, open } from 'node:fs/promises'

/** A file whose length nobody says beforehand, as those of the kernel. Rejects where it is longer than `limit` bytes. */
export async function readAtMost(path: string, limit: number): Promise<Uint8Array> {
  const file = await open(path, 'r')
  try {
    return await readAll(file, limit)
  } finally {
    await file.close()
  }
}

async function readAll(file: FileHandle, limit: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(limit + 1)
  let length = 0
  for (;;) {
    const { bytesRead } = await file.read(bytes, length, bytes.length - length)
    if (bytesRead === 0) return bytes.slice(0, length)
    length += bytesRead
    if (length > limit) throw new Error(`it is longer than ${limit} bytes`)
  }
}
