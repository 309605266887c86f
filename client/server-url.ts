import { QflareError } from './errors.ts'

const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/

/**
 * The base URL of a server, without a slash at the end. An exchange protects itself, but an enrolment token, an API token
 * and an access token travel as they are: plain http is for this machine, unless it is asked for. Throws `input_invalid`,
 * `insecure_url`.
 */
export function parseServerUrl(text: string, options: { allowInsecureHttp?: boolean } = {}): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !['http:', 'https:'].includes(url.protocol)) {
    throw new QflareError('input_invalid', 'The URL of the server begins with https:// or http://.', { field: 'url' })
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw new QflareError('input_invalid', 'The URL of the server holds no password, query or fragment.', {
      field: 'url',
    })
  }
  if (url.protocol === 'http:' && !loopback.test(url.hostname) && options.allowInsecureHttp !== true) {
    throw new QflareError('insecure_url', `Tokens would cross the network in clear to ${url.host}: use https.`)
  }
  return url.href.replace(/\/+$/, '')
}
