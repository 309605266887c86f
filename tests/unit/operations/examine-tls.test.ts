import { expect, it } from 'vitest'
import { examineTls } from '../../../operations/examine/examine-tls.ts'
import { makeServerCredential, makeTlsFolder } from '../../support/tls-files.ts'

it.each([
  ['1 day', 0],
  ['0 days', 1],
])('a certificate that ends soon ends in %s', async (left, passedMs) => {
  const made = new Date(Date.UTC(2026, 10, 22))
  const files = { ...(await makeTlsFolder(makeServerCredential(made))), groups: 'X25519' }
  // Valid for a day, from an hour before it was made.
  const findings = await examineTls(files, made.getTime() - 3_600_000 + passedMs)
  expect(findings).toContainEqual(expect.objectContaining({ message: `the certificate ends in ${left}` }))
})
