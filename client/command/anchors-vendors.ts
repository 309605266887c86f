import { X509Certificate } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { certifiedFormats } from '../../protocol/attestation/trust-anchor-wish.ts'
import type { AddedTrustAnchors } from '../attestation-inputs.ts'
import { parseJson, readCertificates, toBundle } from './anchor-files.ts'
import { report, warnOfItems } from './anchors-import.ts'
import { defineCommand } from './define-command.ts'
import { usageError } from './exit-codes.ts'
import { printResult, toTable } from './print.ts'
import { readRegularFile, unusable } from './regular-file.ts'
import { openInputsOf, operatorNotes } from './settings.ts'

/** In a checkout and in the package alike. */
const folder = new URL('../../deploy/anchors/', import.meta.url)

const vendorIndex = z.looseObject({
  certificates: z.array(
    z.looseObject({
      file: z.string().regex(/^[a-z0-9-]+\.pem$/),
      vendor: z.string(),
      /** Of the evidence that leads to it, and for which alone it is trusted. */
      formats: z.array(z.enum(certifiedFormats)).min(1).default(['tpm2']),
      subject: z.string(),
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  ),
})

/** Each is the one that the index says: exit code 4 for a file that somebody changed. */
async function readVendors() {
  const path = fileURLToPath(new URL('index.json', folder))
  const index = vendorIndex.parse(parseJson(path, (await readRegularFile(path, 1 << 20)).toString('utf8')))
  return Promise.all(
    index.certificates.map(async ({ file, vendor, formats, subject, sha256 }) => {
      const [der] = (await readCertificates(fileURLToPath(new URL(file, folder)))) as [Uint8Array]
      const certificate = new X509Certificate(der)
      if (certificate.fingerprint256.replaceAll(':', '').toLowerCase() !== sha256) {
        throw unusable(`${file} is not the certificate that the index of vendors names.`)
      }
      return {
        vendor,
        formats,
        subject,
        sha256,
        der,
        notBefore: certificate.validFromDate,
        notAfter: certificate.validToDate,
      }
    }),
  )
}

export const anchorsVendors = defineCommand({
  name: 'anchors vendors',
  summary: 'Lists the roots of manufacturers that come with this command.',
  flags: {},
  isLocal: true,
  examples: ['qflare anchors vendors'],
  notes:
    'Whence each is, and how it was checked, is in deploy/anchors/README.md. Nothing of this is trusted before qflare anchors import-vendor.',
  async run({ values }) {
    const vendors = await readVendors()
    const shown = vendors.map(({ vendor, formats, subject, sha256, notBefore, notAfter }) => {
      return { vendor, formats, subject, sha256, notBefore: notBefore.getTime(), notAfter: notAfter.getTime() }
    })
    const rows = vendors.map((one) => [
      one.sha256,
      one.vendor,
      one.formats.join(', '),
      one.subject,
      one.notBefore.toISOString().slice(0, 10),
      one.notAfter.toISOString().slice(0, 10),
    ])
    await printResult(
      values.json,
      { items: shown },
      toTable(['SHA-256', 'VENDOR', 'FORMATS', 'SUBJECT', 'FROM', 'UNTIL'], rows),
    )
    return undefined
  },
})

export const anchorsImportVendor = defineCommand({
  name: 'anchors import-vendor',
  positionals: ['VENDOR'],
  summary: 'Trusts the roots of a manufacturer, as qflare anchors vendors lists them.',
  flags: {},
  examples: ['qflare anchors import-vendor nuvoton'],
  notes: `Compare the fingerprints with the manufacturer's before: whoever has the key of a trusted root says which TPMs, machines or phones are genuine. Each is trusted for evidence of the formats that the list names, and of no other. ${operatorNotes}`,
  async run({ values, positionals: [named] }) {
    const vendors = await readVendors()
    const of = vendors.filter(({ vendor }) => vendor === named)
    if (of.length === 0) {
      const names = [...new Set(vendors.map(({ vendor }) => vendor))]
      throw usageError(`VENDOR is one of: ${names.join(', ')}.`)
    }
    const inputs = await openInputsOf(values)
    const items: AddedTrustAnchors['items'] = []
    for (const format of certifiedFormats) {
      const pem = toBundle(of.filter(({ formats }) => formats.includes(format)).map(({ der }) => der))
      if (pem !== '') items.push(...(await inputs.addTrustAnchors({ format, pem, kind: 'root' })).items)
    }
    warnOfItems({ items })
    return report(values.json, { items })
  },
})
