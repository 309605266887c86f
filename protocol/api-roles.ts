/** What an API token may be for. An admin may do what an operator may. */
export const apiRoles = ['admin', 'operator', 'coordinator', 'auditor'] as const
export type ApiRole = (typeof apiRoles)[number]
