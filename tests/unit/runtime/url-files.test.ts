import { execFileSync } from 'node:child_process'
import { chmod, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { ConfigError, configVariables, loadConfig } from '../../../runtime/config.ts'
import { urlVariables } from '../../../runtime/url-files.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'qflare-urls-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
})

async function writeSecret(name: string, content: string, mode = 0o600): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, content)
  await chmod(path, mode)
  return path
}

function problemsOf(env: Record<string, string | undefined>): readonly string[] {
  try {
    loadConfig(env)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.problems
  }
  return []
}

const urls = Object.fromEntries(
  urlVariables.map((name) => [
    name,
    name.includes('REDIS') ? `rediss://:secret@${name.toLowerCase()}` : `postgresql://x:secret@localhost/${name}`,
  ]),
)

test('each URL with a password may be the only line of a file, and is then what it would be in the environment', async () => {
  const files = await Promise.all(
    urlVariables.map(async (name) => [`${name}_FILE`, await writeSecret(name, `${urls[name]}\n`)] as const),
  )
  expect(loadConfig(Object.fromEntries(files))).toEqual(loadConfig(urls))
  expect(configVariables).toEqual(expect.arrayContaining(files.map(([name]) => name)))
})

test('a mounted secret, which is a link, is followed', async () => {
  const link = join(folder, 'link')
  await symlink(await writeSecret('redis', 'rediss://:secret@limits'), link)
  expect(loadConfig({ REDIS_URL_FILE: link }).redisUrl).toBe('rediss://:secret@limits')
})

test('a file that others may read, that is empty, large, no file or not there is refused by its variable', async () => {
  const refused = [
    [await writeSecret('open', 'redis://localhost', 0o640), /other users may read it \(mode 640\)/],
    [await writeSecret('empty', '\n'), /is empty/],
    [await writeSecret('large', 'x'.repeat(4_097)), /larger than 4096 bytes/],
    [folder, /no regular file/],
    [join(folder, 'none'), /ENOENT/],
  ] as const
  for (const [path, reason] of refused) {
    const problems = problemsOf({ REDIS_URL_FILE: path })
    expect(problems).toEqual([expect.stringMatching(/^REDIS_URL_FILE: /)])
    expect(problems[0]).toMatch(reason)
  }
})

test('a pipe in the place of the file is waited for by nobody', () => {
  const pipe = join(folder, 'pipe')
  execFileSync('mkfifo', ['-m', '600', pipe])
  expect(problemsOf({ REDIS_URL_FILE: pipe })).toEqual([expect.stringMatching(/no regular file/)])
})

test('a URL and a file for it are one too many, and neither is preferred', async () => {
  const file = await writeSecret('redis', 'redis://localhost:1')
  expect(problemsOf({ REDIS_URL: 'redis://localhost:2', REDIS_URL_FILE: file })).toEqual([
    'REDIS_URL_FILE: is set, and REDIS_URL too; leave one of them out.',
  ])
})

test('what is in the file is held to the same rules, and is in no message', async () => {
  const wrong = await writeSecret('wrong', 'http://:secret@limits')
  expect(problemsOf({ REDIS_URL_FILE: wrong })).toEqual([expect.stringMatching(/^REDIS_URL: is not a redis:/)])
  const clear = await writeSecret('clear', 'redis://:secret@limits')
  const problems = problemsOf({ REDIS_URL_FILE: clear, DATABASE_URL_FILE: join(folder, 'none') })
  expect(problems.join()).toMatch(/REDIS_URL: limits is another machine/)
  expect(problems.join()).not.toContain('secret')
})
