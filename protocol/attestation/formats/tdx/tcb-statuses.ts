/** What Intel says of a level of its TCB, and what a verifier makes of several. */
export const tcbStatuses = [
  'UpToDate',
  'SWHardeningNeeded',
  'ConfigurationNeeded',
  'ConfigurationAndSWHardeningNeeded',
  'TDRelaunchAdvised',
  'TDRelaunchAdvisedConfigurationNeeded',
  'OutOfDate',
  'OutOfDateConfigurationNeeded',
  'Revoked',
  'NotSupported',
] as const
export type TcbStatus = (typeof tcbStatuses)[number]

/** Of a level of a platform, as Intel publishes it. */
export const levelStatuses = [
  'UpToDate',
  'SWHardeningNeeded',
  'ConfigurationNeeded',
  'ConfigurationAndSWHardeningNeeded',
  'OutOfDate',
  'OutOfDateConfigurationNeeded',
  'Revoked',
] as const

/** Of a level of the TDX module and of the quoting enclave. */
export const partStatuses = ['UpToDate', 'OutOfDate', 'Revoked'] as const
export type PartStatus = (typeof partStatuses)[number] | 'NotSupported'

function needsConfiguration(status: TcbStatus): boolean {
  return status.includes('Configuration')
}

/** The status of a platform with that of a part of it: the worse one. */
export function converge(status: TcbStatus, part: PartStatus): TcbStatus {
  if (part === 'UpToDate' || status === 'Revoked' || status === 'NotSupported') return status
  if (part !== 'OutOfDate') return part
  return needsConfiguration(status) ? 'OutOfDateConfigurationNeeded' : 'OutOfDate'
}

const upToDateNow: readonly TcbStatus[] = [
  'UpToDate',
  'SWHardeningNeeded',
  'ConfigurationNeeded',
  'ConfigurationAndSWHardeningNeeded',
]

/** The status of a trust domain from those of its launch and of now. */
export function withRelaunch(atLaunch: TcbStatus, now: TcbStatus): TcbStatus {
  if (now === 'NotSupported') return now
  if (!atLaunch.startsWith('OutOfDate') || !upToDateNow.includes(now)) return atLaunch
  return [atLaunch, now].some(needsConfiguration) ? 'TDRelaunchAdvisedConfigurationNeeded' : 'TDRelaunchAdvised'
}
