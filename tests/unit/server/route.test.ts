import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineRoute, type RouteRequest } from '../../../server/route.ts'

const { answer } = defineRoute({
  method: 'post',
  path: '/v1/things',
  access: 'anyone',
  summary: 'Make a thing',
  query: z.strictObject({}),
  body: z.strictObject({}),
  answers: { 204: { description: 'It is made.' } },
  answer: async () => ({ status: 204 }),
})

describe('what a route does not know', () => {
  it.each([
    ['parameter', { query: { bogus: '1' }, body: {} }],
    ['member', { query: {}, body: { bogus: '1' } }],
  ])('is called a %s where it is one', (what, given) => {
    const request = {
      ...given,
      params: {},
      caller: { type: 'anonymous' },
      claimant: { lane: 'unproved', owner: '127.0.0.1' } as const,
      requestId: 'r',
      network: undefined,
      lastEventId: undefined,
      weigh: async () => {},
    } as RouteRequest
    const refused = expect.objectContaining({
      code: 'malformed',
      message: `bogus: This ${what} is not known here.`,
      extra: { field: 'bogus' },
    })
    expect(() => answer(request)).toThrow(refused)
  })
})
