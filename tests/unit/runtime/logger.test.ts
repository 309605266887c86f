import { Writable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { createLogger, type LogFields, type Logger } from '../../../runtime/logger.ts'

function logTo(level: Parameters<typeof createLogger>[0], write: (logger: Logger) => void): Record<string, unknown>[] {
  const lines: string[] = []
  const destination = new Writable({
    write(chunk, _, done) {
      lines.push(String(chunk))
      done()
    },
  })
  write(createLogger(level, destination))
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>)
}

describe('the log', () => {
  test('has the message, the level, a time in ISO 8601 and the fields that are allowed', () => {
    const lines = logTo('info', (logger) => {
      logger.info('two', { requestId: 'r1', names: ['a', 'b'], count: 2 })
      logger.warn('three')
      logger.error('four', { status: 500 })
    })
    expect(lines).toEqual([
      {
        level: 30,
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
        requestId: 'r1',
        names: ['a', 'b'],
        count: 2,
        msg: 'two',
      },
      { level: 40, time: expect.any(String), msg: 'three' },
      { level: 50, time: expect.any(String), status: 500, msg: 'four' },
    ])
  })

  test('drops every field that is not on the list, so that no secret is logged by accident', () => {
    const careless = {
      deviceId: 'd1',
      token: 'qf_secret',
      authorization: 'Bearer secret',
      chain: new Uint8Array(64),
      body: { password: 'secret' },
      msg: 'another message, secret',
      level: 99,
      error: 'secret',
      sessionId: undefined,
    } as LogFields
    const write = (logger: Logger) => {
      logger.info('said', careless)
      logger.error('said', careless)
    }
    const lines = logTo('info', write)
    const time = expect.any(String)
    expect(lines).toEqual([
      { level: 30, time, deviceId: 'd1', msg: 'said' },
      { level: 50, time, deviceId: 'd1', msg: 'said' },
    ])
    expect(JSON.stringify(lines)).not.toContain('secret')
  })

  test('tells an error by name, message and stack, and its cause by its message, but no other property of it', () => {
    const cause = new TypeError('the root of it')
    const error = Object.assign(new RangeError('out of range', { cause }), { query: 'select secret' })
    const [line] = logTo('error', (logger) => logger.error('failed', { code: 'x' }, error))
    expect(line).toMatchObject({
      msg: 'failed',
      code: 'x',
      error: {
        name: 'RangeError',
        message: 'out of range',
        stack: expect.stringContaining('logger.test.ts'),
        cause: 'the root of it',
      },
    })
    expect(Object.keys(line?.error as object).sort()).toEqual(['cause', 'message', 'name', 'stack'])
  })

  test('survives what was thrown and is no error', () => {
    for (const thrown of [undefined, null, 'secret', { secret: 1 }]) {
      const [line] = logTo('error', (logger) => logger.error('failed', {}, thrown))
      expect(line).toEqual({ level: 50, time: expect.any(String), msg: 'failed' })
    }
  })

  test.each([
    ['error', 1],
    ['warn', 2],
    ['info', 3],
    ['silent', 0],
  ] as const)('of level %s has %i of info, warn and error', (level, count) => {
    const lines = logTo(level, (logger) => {
      logger.info('said')
      logger.warn('said')
      logger.error('said')
    })
    expect(lines).toHaveLength(count)
  })
})
