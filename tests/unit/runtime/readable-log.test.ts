import { Writable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { createLogger, type Logger } from '../../../runtime/logger.ts'
import { createReadableLog } from '../../../runtime/readable-log.ts'

/** What is seen on the terminal, without its times. */
function see(write: (logger: Logger) => void): string[] {
  let text = ''
  const terminal = new Writable({
    write(chunk, _encoding, done) {
      text += String(chunk)
      done()
    },
  })
  write(createLogger('info', createReadableLog(terminal)))
  return text
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(/^\d\d:\d\d:\d\d {2}/, ''))
}

describe('the log on a terminal', () => {
  test('has the message and what belongs to it, and nothing twice', () => {
    const lines = see((logger) => {
      logger.info('temporal keys made', { count: 18, epoch: 7 })
      logger.info('ready at http://127.0.0.1:8470', { url: 'http://127.0.0.1:8470' })
      logger.info('migrations applied', { names: Array.from({ length: 25 }, (_, index) => `00${index}`) })
      logger.warn('a database connection was lost')
    })
    expect(lines).toEqual([
      'temporal keys made (count 18; epoch 7)',
      'ready at http://127.0.0.1:8470',
      'migrations applied (names 25 of them)',
      'a database connection was lost',
    ])
  })

  test('has a request on one line, with its id where somebody has to look for it', () => {
    const request = { requestId: 'r1', method: 'GET', route: '/v1/devices', durationMs: 4.2, apiTokenId: 't1' }
    const lines = see((logger) => {
      logger.info('request', { ...request, status: '200' })
      logger.error('request', { ...request, status: '500' })
    })
    expect(lines).toEqual(['GET /v1/devices 200, 4.2 ms', 'GET /v1/devices 500, 4.2 ms, request r1'])
  })

  test('has the stack of an error', () => {
    const [said, first = '', second = ''] = see((logger) => logger.error('it failed', {}, new Error('no room')))
    expect([said, first.trim()]).toEqual(['it failed', 'Error: no room'])
    expect(second).toMatch(/^ +at /)
  })

  test('moves no terminal, whatever names are in it', () => {
    const hostile = '\u001b[2J\u009b1m\r\u202eevil\u0007'
    const seen = see((logger) => {
      logger.info(`connected ${hostile}`, { names: [hostile] })
      logger.info('request', { requestId: hostile, method: hostile, route: hostile, status: '503', durationMs: 1 })
      logger.error('it failed', {}, new Error(hostile))
    }).join('\n')
    expect(seen).toContain('evil')
    expect(seen.replaceAll('\n', '')).not.toMatch(/\p{C}/u)
  })

  test('shows what is no line of the log as it is', () => {
    let text = ''
    const terminal = new Writable({ write: (chunk, _encoding, done) => ((text += String(chunk)), done()) })
    createReadableLog(terminal).write('{"level":30}\u001b[2J\n')
    expect(text).toBe('{"level":30}?[2J\n')
  })
})
