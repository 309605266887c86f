import type { NewIncidentNotice } from '../../database/repositories/incident-notices.ts'
import type { Incident } from '../../database/repositories/incidents.ts'
import { formatIncidentNotice, type IncidentNoticeType } from '../../protocol/monitor/incident-notice.ts'
import { newId } from '../../runtime/ids.ts'

/** What the receiver of notices is to be told of what was found. */
export function toIncidentNotices(
  organizationId: string,
  { opened, escalated }: { opened: readonly Incident[]; escalated: readonly Incident[] },
  now: number,
): NewIncidentNotice[] {
  const toNotice = (type: IncidentNoticeType) => (incident: Incident) => {
    const { id, rule, subject: about, severity, count, devices, openedAt } = incident
    const facts = { id, organizationId, rule, about, severity, count, devices, openedAt }
    return { id: newId(), incidentId: id, type, body: formatIncidentNotice(type, facts, now) }
  }
  return [...opened.map(toNotice('incident.opened')), ...escalated.map(toNotice('incident.escalated'))]
}
