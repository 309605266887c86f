import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { FileError, readSmallFile } from '../../../runtime/read-small-file.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'qflare-small-file-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
})

test('a file up to the limit is read whole, and one byte more is refused', async () => {
  const path = join(folder, 'file')
  await writeFile(path, 'x'.repeat(100), { mode: 0o640 })
  expect(await readSmallFile(path, { maxBytes: 100 })).toEqual({
    content: Buffer.from('x'.repeat(100)),
    permissions: 0o640,
    ownerId: process.getuid?.(),
  })
  await expect(readSmallFile(path, { maxBytes: 99 })).rejects.toThrow(/larger than 99 bytes/)
})

test('what never ends or never begins is refused at once: a FIFO, a device, a folder', async () => {
  const fifo = join(folder, 'fifo')
  execFileSync('mkfifo', [fifo])
  await mkdir(join(folder, 'folder'))
  for (const path of [fifo, '/dev/zero', join(folder, 'folder')]) {
    await expect(readSmallFile(path, { maxBytes: 100 }), path).rejects.toThrow(FileError)
  }
})

test('a link is followed only where that is wished', async () => {
  await writeFile(join(folder, 'file'), 'text')
  await symlink('file', join(folder, 'link'))
  await expect(readSmallFile(join(folder, 'link'), { maxBytes: 100 })).rejects.toMatchObject({ code: 'ELOOP' })
  const { content } = await readSmallFile(join(folder, 'link'), { maxBytes: 100, followsLinks: true })
  expect(content.toString()).toBe('text')
})
