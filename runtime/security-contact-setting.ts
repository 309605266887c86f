import { z } from 'zod'

/** Whom to tell of a weakness of this service (RFC 9116), and how: what `/.well-known/security.txt` says. */
export interface SecurityContact {
  /** URIs, the preferred one first. */
  contacts: string[]
  /** A page that says what becomes of a report. */
  policy: string | undefined
  /** Tags of RFC 5646, none preferred. */
  languages: string[]
}

const list = z.string().transform((text) =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean),
)

/** Each stands in a line of its own: nothing but visible ASCII. */
const contactUri = z
  .string()
  .refine(
    (text) => /^(mailto:[^@]+@[^@]+|tel:\+?[0-9-]+|https:\/\/.+)$/.test(text) && isUri(text),
    'is not a mailto:, tel: or https: URI',
  )
const pageUrl = z.string().refine((text) => text.startsWith('https://') && isUri(text), 'is not an https:// URL')
const languageTag = z.string().regex(/^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*$/, 'is not a language tag such as en or pt-BR')

function isUri(text: string): boolean {
  return /^[\x21-\x7e]{1,512}$/.test(text) && URL.canParse(text)
}

export const securityContactVariables = {
  QFLARE_SECURITY_CONTACT: list
    .pipe(z.array(contactUri).min(1, 'names no contact').max(8, 'names more than 8 contacts'))
    .optional(),
  QFLARE_SECURITY_POLICY: pageUrl.optional(),
  QFLARE_SECURITY_LANGUAGES: list.pipe(z.array(languageTag).min(1, 'names no language').max(16)).default(['en']),
} as const

export function securityContact(variables: {
  QFLARE_SECURITY_CONTACT?: string[] | undefined
  QFLARE_SECURITY_POLICY?: string | undefined
  QFLARE_SECURITY_LANGUAGES: string[]
}): SecurityContact | undefined {
  const { QFLARE_SECURITY_CONTACT: contacts, QFLARE_SECURITY_POLICY: policy } = variables
  if (contacts === undefined) return undefined
  return { contacts, policy, languages: variables.QFLARE_SECURITY_LANGUAGES }
}

/** Each begins with the name of its variable. */
export function securityContactProblems(variables: Record<string, string | undefined>): string[] {
  if (variables.QFLARE_SECURITY_POLICY === undefined || variables.QFLARE_SECURITY_CONTACT !== undefined) return []
  return ['QFLARE_SECURITY_POLICY: is shown beside QFLARE_SECURITY_CONTACT, which is not set.']
}
