import { resolve } from 'node:path'
import { z } from 'zod'
import { toBase64url } from '../../protocol/encoding.ts'
import type { Attester, EvidenceJson } from '../attester.ts'
import { QflareError } from '../errors.ts'
import { parseInput } from '../parse-input.ts'
import { readProvider, readReport, type TsmReport } from './read-report.ts'
import { toSevSnpEvidence } from './sev-snp-evidence.ts'
import { openTsmReports, TSM_REPORTS_FOLDER, type TsmReports } from './tsm-reports.ts'

const confidentialOptions = z.strictObject({
  reports: z.string().min(1).max(4096).default(TSM_REPORTS_FOLDER),
  certificates: z.array(z.string().min(1).max(4096)).max(8).default([]),
})

export interface ConfidentialAttesterOptions {
  /** The folder of reports. Default: that of configfs-tsm, /sys/kernel/config/tsm/report. Not kept with the device. */
  reports?: string | undefined
  /**
   * Files with the certificates of AMD, each in DER or PEM, for a host that gives none: that of the key which signs reports, and the one
   * above it. They are read each time, for another firmware of the host is another key. Default: none.
   */
  certificates?: string[] | undefined
}

/** By what the kernel calls who makes its reports. */
export const confidentialFormats = { sev_guest: 'sev-snp', tdx_guest: 'tdx' } as const
export type ConfidentialFormat = (typeof confidentialFormats)[keyof typeof confidentialFormats]

/**
 * Evidence of the confidential virtual machine that this runs in, SEV-SNP or TDX, through configfs-tsm of Linux 6.7 or later, as root
 * (Node alone). Throws `input_invalid`, and `report_unavailable` where there is no such; what it is asked for later may throw
 * `certificates_missing` besides.
 */
export async function openConfidentialAttester(options: ConfidentialAttesterOptions = {}): Promise<Attester> {
  const { reports } = parseInput(confidentialOptions, options)
  const format = toFormat(await readProvider(openTsmReports(reports)))
  return createConfidentialAttester(format, options)
}

/** The same of a format that is known, without a look at the machine. */
export function createConfidentialAttester(
  format: ConfidentialFormat,
  options: ConfidentialAttesterOptions,
  given?: TsmReports,
): Attester {
  const parsed = parseInput(confidentialOptions, options)
  const reports = given ?? openTsmReports(parsed.reports)
  const certificates = parsed.certificates.map((path) => resolve(path))
  return {
    format,
    settings: certificates.length === 0 ? {} : { certificates },
    async collect(binding) {
      const report = await readReport(reports, Buffer.concat([binding, Buffer.alloc(64 - binding.length)]))
      const found = toFormat(report.provider)
      if (found !== format) {
        const message = `This machine attests with ${found}, and this device with ${format}: enrol it anew.`
        throw new QflareError('report_unavailable', message)
      }
      return toEvidence(format, report, certificates)
    },
  }
}

async function toEvidence(format: ConfidentialFormat, report: TsmReport, files: string[]): Promise<EvidenceJson> {
  return format === 'tdx' ? { format, quote: toBase64url(report.outblob) } : toSevSnpEvidence(report, files)
}

/** Throws `report_unavailable`. */
export function toFormat(provider: string): ConfidentialFormat {
  const format = Object.entries(confidentialFormats).find(([name]) => name === provider)?.[1]
  if (format !== undefined) return format
  throw new QflareError('report_unavailable', `Reports of ${JSON.stringify(provider)} are not known to this version.`)
}
