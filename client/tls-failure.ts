/** What Node calls the failures of a handshake, and what to do about each; the first that fits. */
const explanations: readonly (readonly [RegExp, string])[] = [
  [
    /^(SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT|CERT_UNTRUSTED|UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT(_LOCALLY)?)$/,
    'its certificate is of no authority that this machine trusts. Start the program with NODE_EXTRA_CA_CERTS=FILE, the certificate of the CA',
  ],
  [
    /^CERT_(HAS_EXPIRED|NOT_YET_VALID)$/,
    'its certificate is expired or not valid yet. Renew it; or the clock of this machine is wrong',
  ],
  [/^(ERR_TLS_CERT_ALTNAME_INVALID|HOSTNAME_MISMATCH)$/, 'its certificate is for another name than that of the URL'],
  [/^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG)$/, 'it does not speak TLS. Is it http://, or another port'],
  [
    /^ERR_SSL_.*HANDSHAKE_FAILURE$/,
    'it has no algorithm in common with this machine. OpenSSL before 3.5, as in Node 20, lacks the post-quantum groups that a server takes by default: the operator adds /X25519 to QFLARE_TLS_GROUPS, or this machine gets a newer Node',
  ],
  [/^(ERR_SSL_|ERR_TLS_|CERT_|UNABLE_TO_|INVALID_CA$|INVALID_PURPOSE$|PATH_LENGTH_EXCEEDED$)/, 'the handshake failed'],
]

/** After the handshake: a connection that broke, like any other. */
const brokenLater = /BAD_RECORD_MAC|UNEXPECTED_EOF/

/**
 * Why no TLS connection came about and what to do, in one line; undefined when the error is another. `cause` is that of an
 * error of `fetch` in Node. A browser says nothing of it to a page.
 */
export function explainTlsFailure(cause: unknown, url: string): string | undefined {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  if (brokenLater.test(code)) return undefined
  const [, explanation] = explanations.find(([pattern]) => pattern.test(code)) ?? []
  return explanation && `No TLS with ${url}: ${explanation} (${code}).`
}
