import type { Clock } from '../../runtime/clock.ts'
import type { SecurityContact } from '../../runtime/security-contact-setting.ts'
import { ServiceError } from '../errors.ts'
import { defineRoute, type Route } from '../route.ts'

const DAY_MS = 86_400_000
/** A service that runs stands by what it says; a copy of it is good for so long. RFC 9116 wants less than a year. */
const GOOD_FOR_DAYS = 30

/** RFC 9116. */
export function securityContactRoute(contact: SecurityContact | undefined, clock: Clock): Route {
  return defineRoute({
    method: 'get',
    path: '/.well-known/security.txt',
    access: 'anyone',
    summary: 'Whom to tell of a weakness of this service (RFC 9116)',
    answers: { 200: { description: 'As QFLARE_SECURITY_CONTACT says.', contentType: 'text/plain' } },
    errors: ['not_found'],
    async answer() {
      if (contact === undefined) throw new ServiceError('not_found', 'This service names nobody.')
      const headers = { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'public, max-age=3600' }
      return { status: 200, headers, body: describeContact(contact, clock.now()) }
    },
  })
}

function describeContact({ contacts, policy, languages }: SecurityContact, now: number): string {
  const today = Math.floor(now / DAY_MS) * DAY_MS
  const expiresAt = new Date(today + GOOD_FOR_DAYS * DAY_MS).toISOString()
  const lines = [
    ...contacts.map((uri) => `Contact: ${uri}`),
    `Expires: ${expiresAt}`,
    `Preferred-Languages: ${languages.join(', ')}`,
    ...(policy === undefined ? [] : [`Policy: ${policy}`]),
  ]
  return lines.map((line) => `${line}\r\n`).join('')
}
