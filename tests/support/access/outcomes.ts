/** Who asks, in the test of who may call what: `device` and `coordinatorInSession` for what is theirs, the others for what is not. */
export const callers = [
  'anonymous',
  'garbage',
  'wrongSecret',
  'expired',
  'revoked',
  'auditor',
  'coordinator',
  'operator',
  'admin',
  'serviceAdmin',
  'device',
  'otherDevice',
  'coordinatorInSession',
  'otherCoordinator',
  'foreignAdmin',
] as const
export type Caller = (typeof callers)[number]

/** The status that each of them is answered. */
export type Outcomes = Record<Caller, number>

/** What each caller gets on a route. */
export interface Row {
  /** Something of the organization `default`, and of `device` where it is a device's. Made anew for each caller. */
  path?: () => string | Promise<string>
  /** As it is, or made anew for each caller. */
  body?: object | (() => object)
  outcomes: Outcomes
}

const refused = {
  anonymous: 401,
  garbage: 401,
  wrongSecret: 401,
  expired: 401,
  revoked: 401,
  auditor: 403,
  coordinator: 403,
}
const noCoordinators = { coordinatorInSession: 403, otherCoordinator: 403 }
export const everyone = (status: number) => Object.fromEntries(callers.map((caller) => [caller, status])) as Outcomes
export const admins = (status: number, foreignAdmin: number): Outcomes => {
  const rest = { operator: 403, device: 403, otherDevice: 403, ...noCoordinators, foreignAdmin }
  return { ...refused, ...rest, admin: status, serviceAdmin: status }
}
export const serviceAdmins = (status: number): Outcomes => ({ ...admins(403, 403), serviceAdmin: status })
export const operators = (status: number, foreignAdmin: number): Outcomes => {
  return { ...admins(status, foreignAdmin), operator: status }
}
export const auditors = (status: number, foreignAdmin: number): Outcomes => {
  return { ...admins(status, foreignAdmin), auditor: status }
}
/** What is a device's: to a coordinator it is another's. */
export const operatorsAndOwn = (status: number, others: number, foreignAdmin: number): Outcomes => {
  const rest = { otherDevice: others, coordinatorInSession: others, otherCoordinator: others }
  return { ...operators(status, foreignAdmin), device: status, ...rest }
}
/** Of a federation that a coordinator made in its session: no API token for coordinators is assigned to it. */
export const coordinators = (status: number): Outcomes => {
  const rest = { coordinator: 404, coordinatorInSession: status, otherCoordinator: 404 }
  return { ...admins(status, 404), ...rest }
}
export const operatorsAndCoordinators = (status: number): Outcomes => ({ ...coordinators(status), operator: status })
export const inSession = (outcomes: Partial<Outcomes>): Outcomes => ({ ...admins(403, 403), ...outcomes })
