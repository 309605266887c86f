import { z } from 'zod'
import { isLoopback } from '../address-problems.ts'

/** Where traces are sent, and how many of them. */
export interface TracingSetting {
  /** Of OTLP over HTTP, with its path. */
  url: string
  /** From 0 to 1: the share of traces that are recorded. */
  ratio: number
}

export const tracingVariables = {
  QFLARE_TRACES_URL: z
    .string()
    .refine(
      isCollector,
      'is not a URL that begins with https://, or http:// on this machine, without a user and a password',
    )
    .optional(),
  QFLARE_TRACES_RATIO: z
    .string()
    .regex(/^(0|1|0?\.[0-9]{1,6}|1\.0{1,6})$/, 'is not a number from 0 to 1')
    .transform(Number)
    .default(0.1),
}

export function tracingSetting(variables: {
  QFLARE_TRACES_URL?: string | undefined
  QFLARE_TRACES_RATIO: number
}): TracingSetting | undefined {
  const { QFLARE_TRACES_URL: url, QFLARE_TRACES_RATIO: ratio } = variables
  return url === undefined ? undefined : { url, ratio }
}

/** Traces say who asks for what: over plain HTTP they do not leave the machine. */
function isCollector(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || url.username !== '' || url.password !== '') return false
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname.replace(/^\[|\]$/g, '')))
}
