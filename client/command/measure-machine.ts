import { parseQuote } from '../../protocol/attestation/formats/tdx/quote.ts'
import { toFormat } from '../confidential/confidential-attester.ts'
import { readReport } from '../confidential/read-report.ts'
import { toReport } from '../confidential/sev-snp-evidence.ts'
import { openTsmReports, TSM_REPORTS_FOLDER } from '../confidential/tsm-reports.ts'
import { reportsFolder } from './settings.ts'

/** What was launched of this confidential virtual machine, as its own report says it and starter policies call it. */
export async function measureMachine(): Promise<{
  format: string
  name: string
  values: object[]
  rows: [string, string][]
}> {
  const reports = openTsmReports(reportsFolder() ?? TSM_REPORTS_FOLDER)
  const { provider, outblob } = await readReport(reports, new Uint8Array(64))
  const format = toFormat(provider)
  if (format === 'sev-snp') {
    const { measurement } = toReport(outblob).facts
    return { format, name: 'guest', values: [{ measurements: [measurement] }], rows: [['measurement', measurement]] }
  }
  const { report, certificates } = parseQuote(outblob)
  const { mrTd, rtmr0, rtmr1, rtmr2 } = report.registers
  const values = { mrTd, rtmr0, rtmr1, rtmr2 }
  // Not of the trust domain, but what Intel's TCB info has to be fetched for.
  const rows = Object.entries({ ...values, FMSPC: certificates.platform.fmspc })
  return { format, name: 'trust-domain', values: [values], rows }
}
