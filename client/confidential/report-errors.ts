import { QflareError } from '../errors.ts'

/** By what the kernel says, of the folder or of what is in it. */
const reasons: Record<string, string> = {
  ENOENT:
    'This machine has no reports of configfs-tsm: it is no confidential virtual machine, its Linux is older than 6.7, configfs is not mounted (mount -t configfs none /sys/kernel/config), or the module is not loaded (modprobe sev-guest, modprobe tdx-guest).',
  ENXIO:
    'Nothing makes reports on this machine: it is no confidential virtual machine, or the module is not loaded (modprobe sev-guest, modprobe tdx-guest).',
  EACCES: 'This user may not ask for reports: Linux lets root alone.',
  EPERM: 'This user may not ask for reports: Linux lets root alone.',
  EROFS: 'Reports are mounted read-only here: a container needs /sys/kernel/config/tsm for writing.',
  EBUSY: 'The host is still busy with the report before.',
  ETIMEDOUT: 'The host did not make the report in time.',
  EINTR: 'The host did not make the report in time.',
}

/** `report_unavailable`, with what to do. */
export function toReportError(error: unknown): QflareError {
  if (error instanceof QflareError) return error
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const reason = reasons[code] ?? 'The machine gives no report.'
  const detail = error instanceof Error ? error.message : String(error)
  return new QflareError('report_unavailable', `${reason} (${detail})`, { cause: error })
}
