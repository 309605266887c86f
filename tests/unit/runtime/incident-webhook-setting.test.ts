import { randomBytes } from 'node:crypto'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { ConfigError, loadConfig } from '../../../runtime/config.ts'
import { openIncidentWebhook } from '../../../workers/monitor/open-incident-webhook.ts'

const URL_NAME = 'QFLARE_INCIDENT_WEBHOOK_URL'
const FILE_NAME = 'QFLARE_INCIDENT_WEBHOOK_SECRET_FILE'

function problemsOf(env: Record<string, string>): readonly string[] {
  try {
    loadConfig(env)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

describe('the receiver of notices', () => {
  test.each([
    'https://on-call.example',
    'https://on-call.example:8443/hooks/a?token=b',
    'http://127.0.0.1:9000/',
    'http://localhost:9000',
    'http://[::1]:9000/hook',
  ])('may be %s', (url) => {
    expect(loadConfig({ [URL_NAME]: url, [FILE_NAME]: '/s' }).incidentWebhook).toEqual({ url, secretFile: '/s' })
  })

  test.each([
    'http://on-call.example/hook',
    'http://10.0.0.7/hook',
    'http://127.0.0.1.example/hook',
    'http://localhost.example/hook',
    'https://user:password@on-call.example/hook',
    'https://user@on-call.example/hook',
    'https://on-call.example/hook#part',
    'ftp://on-call.example/hook',
    'file:///etc/passwd',
    'on-call.example/hook',
    'https:///',
  ])('is not %s, and what it was is not said: it may be a secret', (url) => {
    const problems = problemsOf({ [URL_NAME]: url, [FILE_NAME]: '/s' })
    expect(problems).toEqual([expect.stringMatching(`^${URL_NAME}: is not a URL`)])
    expect(problems.join()).not.toContain(url)
  })

  test('needs a secret, and a secret a receiver', () => {
    expect(problemsOf({ [URL_NAME]: 'https://on-call.example' })).toEqual([
      expect.stringMatching(`^${FILE_NAME}: is required with ${URL_NAME}`),
    ])
    expect(problemsOf({ [FILE_NAME]: '/s' })).toEqual([
      expect.stringMatching(`^${URL_NAME}: is required with ${FILE_NAME}`),
    ])
  })
})

describe('the file with its secret', () => {
  const keys = [24, 64].map((length) => Uint8Array.from(randomBytes(length)))
  const [one, two] = keys.map((key) => `whsec_${Buffer.from(key).toString('base64')}`) as [string, string]
  let path: string

  beforeEach(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'qflare-webhook-'))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    path = join(folder, 'secret')
  })

  async function open(content: string, mode = 0o600) {
    await writeFile(path, content)
    await chmod(path, mode)
    return openIncidentWebhook({ url: 'https://on-call.example', secretFile: path })
  }

  test('holds one, or two while the receiver goes over to another one', async () => {
    expect((await open(one)).keys).toEqual([keys[0]])
    expect((await open(`${two}\r\n\n ${one}\n`)).keys).toEqual([keys[1], keys[0]])
  })

  test.each([
    ['nothing', '\n'],
    ['three', `${one}\n${two}\n${one}`],
    ['two on one line', `${one} ${two}`],
    ['one without its prefix', one.slice(6)],
    ['one of 23 bytes', `whsec_${randomBytes(23).toString('base64')}`],
    ['one of 65 bytes', `whsec_${randomBytes(65).toString('base64')}`],
    ['base64url', `whsec_${'-_'.repeat(16)}`],
    ['a good one and a bad one', `${one}\nwhsec_`],
  ])('is refused with %s, and not shown', async (_what, content) => {
    const refused = await open(content).catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(ConfigError)
    expect(String(refused)).toContain(FILE_NAME)
    for (const line of content.split('\n').filter((text) => text.length > 10))
      expect(String(refused)).not.toContain(line)
  })

  test('is refused when others may read it, or it is not there', async () => {
    await expect(open(one, 0o640)).rejects.toThrow(/other users may read it/)
    await rm(path)
    const setting = { url: 'https://on-call.example', secretFile: path }
    await expect(openIncidentWebhook(setting)).rejects.toThrow(`${FILE_NAME}: ${path} cannot be read`)
  })
})
