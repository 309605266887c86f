import { isIP } from 'node:net'

type Present = Record<string, string | undefined>

export function isLoopback(host: string): boolean {
  return (
    host === 'localhost' ||
    host === '::1' ||
    host === '::ffff:127.0.0.1' ||
    (isIP(host) === 4 && host.startsWith('127.'))
  )
}

/** Of the addresses on which the service listens, and what it shows there. */
export function addressProblems(variables: Present): string[] {
  return [...hostProblems(variables), ...tlsProblems(variables), ...operatorProblems(variables)]
}

function hostProblems({ HOST: host, QFLARE_TRUST_PROXY: trustProxy, QFLARE_TLS_CERT_FILE: tls }: Present): string[] {
  if (host === undefined || isLoopback(host) || trustProxy !== undefined || tls !== undefined) return []
  return [
    `HOST: ${host} is reachable from other machines, and this service speaks plain HTTP. Give it a certificate with` +
      ' QFLARE_TLS_CERT_FILE and QFLARE_TLS_KEY_FILE, put a proxy that ends TLS before it and name its addresses in' +
      ' QFLARE_TRUST_PROXY, or stay on 127.0.0.1.',
  ]
}

function tlsProblems(variables: Present): string[] {
  const names = ['QFLARE_TLS_CERT_FILE', 'QFLARE_TLS_KEY_FILE']
  const [missing, ...others] = names.filter((name) => variables[name] === undefined)
  if (missing === undefined) return []
  if (others.length > 0) {
    if (variables.QFLARE_TLS_CLIENT_CA_FILE === undefined) return []
    return [
      'QFLARE_TLS_CLIENT_CA_FILE: needs QFLARE_TLS_CERT_FILE and QFLARE_TLS_KEY_FILE: there is no TLS without them.',
    ]
  }
  return [`${missing}: is required with ${names.find((name) => name !== missing)}: a certificate needs its key.`]
}

function operatorProblems(variables: Present): string[] {
  const { QFLARE_OPERATOR_HOST: host, QFLARE_OPERATOR_PORT: port, HOST: apiHost, PORT: apiPort = '8470' } = variables
  if (port === undefined || port === '0' || port !== apiPort) return []
  if ((host ?? '127.0.0.1') !== (apiHost ?? '127.0.0.1')) return []
  return [`QFLARE_OPERATOR_PORT: ${port} is the port of the API already; take another one.`]
}
