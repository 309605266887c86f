import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import type { TlsFiles } from '../../runtime/config.ts'
import { privacyProblem } from '../../runtime/private-file.ts'
import { readSmallFile } from '../../runtime/read-small-file.ts'
import { daysText, errorText, type Finding, findingsOf } from './finding.ts'

const { ok, warning, problem } = findingsOf('TLS')

const DAY_MS = 86_400_000
const SOON_DAYS = 14

/** The certificate and its key: that they belong together, and for how long. */
export async function examineTls({ certFile, keyFile }: TlsFiles, now: number): Promise<Finding[]> {
  let certificate: X509Certificate
  let key: KeyObject
  let isPrivate: boolean
  try {
    certificate = new X509Certificate((await readPem(certFile)).content)
    const read = await readPem(keyFile)
    isPrivate = privacyProblem(read) === undefined
    key = createPrivateKey(read.content)
  } catch (error) {
    return [
      problem(`certificate or key cannot be read (${errorText(error)})`, `Both are PEM: ${certFile}, ${keyFile}.`),
    ]
  }
  return [
    certificate.checkPrivateKey(key)
      ? ok('the certificate belongs to its key')
      : problem('the certificate is of another key', `Give both of one pair: ${certFile}, ${keyFile}.`),
    ...(isPrivate ? [] : [warning(`others may read ${keyFile}`, `chmod 600 ${keyFile}`)]),
    validity(certificate, now),
  ]
}

/** The operator named it, and a mounted secret is a link. */
function readPem(path: string) {
  return readSmallFile(path, { maxBytes: 1 << 20, followsLinks: true })
}

function validity({ validFromDate, validToDate }: X509Certificate, now: number): Finding {
  const days = Math.floor((validToDate.getTime() - now) / DAY_MS)
  const until = `valid until ${validToDate.toISOString().slice(0, 10)}`
  if (now < validFromDate.getTime())
    return problem('the certificate is not valid yet', 'See the clock of this machine.')
  if (now > validToDate.getTime()) return problem('the certificate has expired', 'Clients refuse it: renew it.')
  if (days < SOON_DAYS) return warning(`the certificate ends in ${daysText(days)}`, 'Renew it.')
  return ok(until)
}
