import { resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { loadConfig } from '../../../runtime/config.ts'
import { describeService } from '../../../runtime/service-summary.ts'

const workingFolder = process.cwd()
const url = 'http://127.0.0.1:8470'

function describeOf(env: Record<string, string>, running: Partial<Parameters<typeof describeService>[1]> = {}) {
  const { headline, lines } = describeService(loadConfig(env), {
    url,
    operatorUrl: undefined,
    hasAdminToken: true,
    workingFolder,
    ...running,
  })
  return { headline, text: lines.join('\n'), commands: lines.filter((line) => /^ {2}(export|npm|npx) /.test(line)) }
}

describe('what a terminal shows of a service', () => {
  test('is where everything is, the mode, and what to type next', () => {
    const { headline, text, commands } = describeOf({})
    expect(headline).toBe(`QFLARE is ready at ${url}`)
    for (const part of [
      `${url}/docs`,
      `${url}/ready, /metrics (from this machine)`,
      '.qflare/admin-token',
      '.qflare, an embedded PostgreSQL, queues in it',
      'api, worker, sequencer; profile default; trust domain qflare.local',
    ]) {
      expect(text).toContain(part)
    }
    expect(commands).toEqual(['  npm run demo', '  npx --no qflare doctor'])
  })

  test('names commands that work as they stand there, wherever the service is', () => {
    const folder = resolve("/srv/it's here")
    const { commands, text } = describeOf({ QFLARE_DATA_DIR: folder }, { url: 'http://127.0.0.1:9000' })
    expect(commands).toEqual([
      "  export QFLARE_URL=http://127.0.0.1:9000 QFLARE_DATA_DIR='/srv/it'\\''s here'",
      '  npm run demo',
      '  npx --no qflare doctor --at http://127.0.0.1:9000',
    ])
    expect(text).toContain(`${folder}/admin-token`)
  })

  test('says where health is when that is elsewhere, and how to get a token where there is none', () => {
    const { text } = describeOf({}, { operatorUrl: 'http://127.0.0.1:9100', hasAdminToken: false })
    expect(text).toContain('http://127.0.0.1:9100/ready, /metrics\n')
    expect(text).toContain('none at .qflare/admin-token: qflare admin-token recover makes one')
  })

  test('says of a process without an API what it does for others', () => {
    const env = { QFLARE_ROLES: 'worker' }
    const { headline, text, commands } = describeOf(env, { url: undefined })
    expect(headline).toBe('QFLARE works for others, as worker')
    expect(text).not.toContain('/docs')
    expect(commands).toEqual(['  npx --no qflare doctor'])
  })
})
