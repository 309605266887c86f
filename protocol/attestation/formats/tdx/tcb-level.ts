import type { Platform } from './pck-certificate.ts'
import type { QeReport } from './qe-report.ts'
import { isMasked, type QeIdentity, type TcbInfo } from './statements.ts'
import { converge, needsConfiguration, type PartStatus, type TcbStatus } from './tcb-statuses.ts'
import type { TdReport } from './td-report.ts'

/** Of the quoting enclave or of the TDX module: `Mismatch` where it is not the one that Intel names. */
export type PartTcb = {
  status: PartStatus | 'Mismatch'
  advisoryIds: string[]
}

export type PlatformTcb = {
  status: TcbStatus
  module: PartTcb['status']
  advisoryIds: string[]
}

type IsvLevels = QeIdentity['tcbLevels']
type TcbLevel = TcbInfo['tcbLevels'][number]

/** The quoting enclave against its identity (PCS API, "Get Quoting Enclave Identity"). */
export function qeTcbOf(qe: QeReport, identity: QeIdentity): PartTcb {
  const isSame =
    isMasked(qe.miscSelect, identity.miscselectMask, identity.miscselect) &&
    isMasked(qe.attributes, identity.attributesMask, identity.attributes) &&
    qe.mrSigner === identity.mrsigner &&
    qe.isvProdId === identity.isvprodid
  return isSame ? levelOf(qe.isvSvn, identity.tcbLevels) : { status: 'Mismatch', advisoryIds: [] }
}

/** The first of the levels, which are in order, that is not above it. */
function levelOf(isvSvn: number, levels: IsvLevels): PartTcb {
  const level = levels.find(({ tcb }) => tcb.isvsvn <= isvSvn)
  return level === undefined
    ? { status: 'NotSupported', advisoryIds: [] }
    : { status: level.tcbStatus, advisoryIds: level.advisoryIDs }
}

/**
 * The platform of a quote against what Intel says of it (PCS API, "Get TDX TCB Info"): of its levels the first that is nowhere above
 * it, with the status of its TDX module and of its quoting enclave. Undefined `qe`: nothing is known of that.
 */
export function platformTcbOf(
  platform: Platform,
  report: TdReport,
  info: TcbInfo,
  qe: PartTcb | undefined,
): PlatformTcb {
  const module = moduleTcbOf(report, info)
  const ofHardware = info.tcbLevels.filter((level) => reachesHardware(platform, level))
  const level = ofHardware.find((one) => reachesTdx(report.teeTcbSvn, one))
  const parts = [module, ...(qe ? [qe] : [])]
  const advisoryIds = [...new Set([...(level?.advisoryIDs ?? []), ...parts.flatMap((part) => part.advisoryIds)])].sort()
  const withModule = convergeWith(level?.tcbStatus ?? 'NotSupported', module)
  const status = isRelaunchAdvised({ report, info, module, qe, status: withModule, hardware: ofHardware[0]?.tcbStatus })
    ? [withModule, ofHardware[0]?.tcbStatus ?? withModule].some(needsConfiguration)
      ? 'TDRelaunchAdvisedConfigurationNeeded'
      : 'TDRelaunchAdvised'
    : withModule
  return { status: qe ? convergeWith(status, qe) : status, module: module.status, advisoryIds }
}

/** Of a part that is not Intel's another finding speaks. */
function convergeWith(status: TcbStatus, part: PartTcb): TcbStatus {
  return part.status === 'Mismatch' ? status : converge(status, part.status)
}

function reachesHardware({ components, pceSvn }: Platform, { tcb }: TcbLevel): boolean {
  return tcb.sgxtcbcomponents.every(({ svn }, index) => (components[index] as number) >= svn) && pceSvn >= tcb.pcesvn
}

/** From the second version of the TDX module on, the first two say what its own identity is held against. */
function reachesTdx(teeTcbSvn: Uint8Array, { tcb }: TcbLevel): boolean {
  const first = teeTcbSvn[1] === 0 ? 0 : 2
  return tcb.tdxtcbcomponents.every(({ svn }, index) => index < first || (teeTcbSvn[index] as number) >= svn)
}

function findModuleIdentity(version: number, { tdxModuleIdentities }: TcbInfo) {
  const id = `tdx_${version.toString(16).padStart(2, '0')}`
  return tdxModuleIdentities.find((one) => one.id.toLowerCase() === id)
}

function moduleTcbOf({ teeTcbSvn, mrSignerSeam, seamAttributes }: TdReport, info: TcbInfo): PartTcb {
  const [isvSvn, version] = teeTcbSvn as unknown as [number, number]
  const identity = version === 0 ? info.tdxModule : findModuleIdentity(version, info)
  const isSame =
    identity !== undefined &&
    identity.mrsigner === mrSignerSeam &&
    isMasked(Buffer.from(seamAttributes, 'hex'), identity.attributesMask, identity.attributes)
  if (!isSame) return { status: 'Mismatch', advisoryIds: [] }
  // Of the first version the levels of the platform themselves speak.
  return 'tcbLevels' in identity
    ? levelOf(isvSvn, identity.tcbLevels as IsvLevels)
    : { status: 'UpToDate', advisoryIds: [] }
}

/**
 * Of TDX 1.5: the module was updated since the launch of the trust domain, and nothing but that launch is out of date. As Intel's
 * quote verification library has it.
 */
function isRelaunchAdvised(given: {
  report: TdReport
  info: TcbInfo
  module: PartTcb
  qe: PartTcb | undefined
  /** Of the platform with its module, and of the hardware alone. */
  status: TcbStatus
  hardware: TcbStatus | undefined
}): boolean {
  const { report, info, module, qe, status, hardware } = given
  const [latest] = info.tcbLevels
  if (report.teeTcbSvn2 === undefined || latest === undefined || hardware === undefined) return false
  const isQeGood = qe === undefined || qe.status === 'UpToDate'
  const isHardwareGood = !hardware.startsWith('OutOfDate') && hardware !== 'Revoked'
  if (!isQeGood || !isHardwareGood || !status.startsWith('OutOfDate') || module.status !== 'OutOfDate') return false
  const [isvSvn, version, microcode] = report.teeTcbSvn2 as unknown as [number, number, number]
  const wanted =
    version === 0 ? latest.tcb.tdxtcbcomponents[0]?.svn : findModuleIdentity(version, info)?.tcbLevels[0]?.tcb.isvsvn
  return wanted !== undefined && isvSvn >= wanted && microcode >= (latest.tcb.tdxtcbcomponents[2]?.svn as number)
}
