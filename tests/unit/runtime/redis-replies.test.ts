import { expect, test } from 'vitest'
import { endOfReplies } from '../../../runtime/redis-replies.ts'

const replies = [
  '+OK\r\n',
  '-ERR no\r\n',
  ':12\r\n',
  '$-1\r\n',
  '$0\r\n\r\n',
  '$5\r\na\r\n$b\r\n',
  '*0\r\n',
  '*-1\r\n',
  '*2\r\n$1\r\nx\r\n*3\r\n:1\r\n$-1\r\n+y\r\n',
]

test.each(replies)('%j is one reply when its last byte is there, and none before', (reply) => {
  const bytes = Buffer.from(reply)
  for (let length = 0; length < bytes.length; length++) expect(endOfReplies(bytes.subarray(0, length))).toBe(0)
  expect(endOfReplies(bytes)).toBe(bytes.length)
})

test('of many, wherever they are cut, the whole ones are found', () => {
  const all = Buffer.from(replies.join(''))
  const ends = replies.map((_, index) => replies.slice(0, index + 1).join('').length)
  for (let length = 0; length <= all.length; length++) {
    const last = ends.filter((end) => end <= length).at(-1) ?? 0
    expect(endOfReplies(all.subarray(0, length))).toBe(last)
  }
})
