import { z } from 'zod'

/** Of a witness of the audit log: its verifier key, of which the form alone was checked, and where it is asked. */
export interface WitnessSetting {
  vkey: string
  /** The submission prefix, without a slash at its end. */
  url: string
}

const vkeyForm = /^[^+\s]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]+={0,2}$/
const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/

/** `<verifier key>@<URL>`: a key holds no "@" and no comma. */
export const witnessSetting = z.string().transform((text, context): WitnessSetting => {
  const at = text.indexOf('@')
  const vkey = text.slice(0, Math.max(0, at))
  const url = parseUrl(text.slice(at + 1))
  const refuse = (message: string): never => {
    context.addIssue({ code: 'custom', message })
    return z.NEVER
  }
  if (!vkeyForm.test(vkey)) return refuse('is not a verifier key, an "@" and a URL')
  if (url === undefined)
    return refuse('has no URL that begins with https://, or http:// on this machine, and is nothing else')
  return { vkey, url }
})

/** Undefined: none that is asked. The answers are signed; plain HTTP to another machine would let anybody hold them back. */
function parseUrl(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isKnown = url?.protocol === 'https:' || (url?.protocol === 'http:' && loopback.test(url.hostname))
  if (url === undefined || !isKnown) return undefined
  const isPlain = url.username === '' && url.password === '' && !/[?#]/.test(text)
  return isPlain ? url.href.replace(/\/+$/, '') : undefined
}
