import type { Platform } from './pck-certificate.ts'
import type { QeReport } from './qe-report.ts'
import { isMasked, type QeIdentity, type TcbInfo } from './statements.ts'
import { converge, type PartStatus, type TcbStatus, withRelaunch } from './tcb-statuses.ts'
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
 * The platform of a quote against what Intel says of it (PCS API, "Get TDX TCB Info"), with the status of its quoting enclave.
 * Undefined `qe`: nothing is known of that.
 *
 * A quote of TDX 1.5 tells two TCBs of a trust domain, that of its launch and that of now: where the first alone is out of date, to
 * launch it anew is all that is needed. As Intel's quote verification library has it since 2026 (§4.1.2.5.19 and 20; EvaluateTcb.cpp,
 * TDRelaunchCheck.cpp); before, it compared the module of now with its latest level alone.
 */
export function platformTcbOf(
  platform: Platform,
  report: TdReport,
  info: TcbInfo,
  qe: PartTcb | undefined,
): PlatformTcb {
  const atLaunch = evaluate({ platform, report, info, qe, teeTcbSvn: report.teeTcbSvn })
  if (report.teeTcbSvn2 === undefined) return atLaunch
  const now = evaluate({ platform, report, info, qe, teeTcbSvn: report.teeTcbSvn2 })
  return { ...atLaunch, status: withRelaunch(atLaunch.status, now.module === 'Mismatch' ? 'NotSupported' : now.status) }
}

/** Of the levels the first that is nowhere above the platform, with the status of its TDX module and of its quoting enclave. */
function evaluate(given: {
  platform: Platform
  report: TdReport
  info: TcbInfo
  qe: PartTcb | undefined
  teeTcbSvn: Uint8Array
}): PlatformTcb {
  const { platform, report, info, qe, teeTcbSvn } = given
  const module = moduleTcbOf(teeTcbSvn, report, info)
  const level = info.tcbLevels.find((one) => reachesHardware(platform, one) && reachesTdx(teeTcbSvn, one))
  const parts = [module, ...(qe ? [qe] : [])]
  return {
    status: parts.reduce(convergeWith, level?.tcbStatus ?? 'NotSupported'),
    module: module.status,
    advisoryIds: [...new Set([level?.advisoryIDs ?? [], ...parts.map((part) => part.advisoryIds)].flat())].sort(),
  }
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

function moduleTcbOf(teeTcbSvn: Uint8Array, { mrSignerSeam, seamAttributes }: TdReport, info: TcbInfo): PartTcb {
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
