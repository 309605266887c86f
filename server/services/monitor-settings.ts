import type { Database } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import {
  findMonitorSettings,
  lockMonitorSettings,
  type StoredMonitorSettings,
  storeMonitorSettings,
} from '../../database/repositories/monitor-settings.ts'
import { canonicalJson, type Json } from '../../protocol/encoding.ts'
import {
  defaultMonitorSettings,
  type EffectiveRule,
  everyRule,
  type MonitorSettings,
  parseMonitorSettings,
} from '../../protocol/monitor/settings.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import { actorOf, type Operator } from '../caller.ts'
import { changeAs } from './change-as.ts'

export interface ShownMonitorSettings {
  settings: MonitorSettings
  /** Undefined: nobody has changed anything. */
  changedAt: number | undefined
  /** False: what is stored is not valid to this release, and the monitor works as if nothing were. */
  isReadable: boolean
  rules: EffectiveRule[]
}
export type MonitorSettingsService = ReturnType<typeof createMonitorSettings>

/** How the security monitor works for an organization. */
export function createMonitorSettings(parts: { database: Database; clock: Clock; writeEvent: WriteEvent }) {
  return {
    get(operator: Operator): Promise<ShownMonitorSettings> {
      return parts.database.withOrganization(operator.organizationId, async (tx) =>
        toShown(await findMonitorSettings(tx)),
      )
    },

    /** As a whole. The same again changes nothing. */
    replace(admin: Operator, settings: MonitorSettings, requestId: string): Promise<ShownMonitorSettings> {
      const { organizationId } = admin
      // Parsed JSON: it has no member that is undefined, which the type of an optional one cannot say.
      const told = settings as Json
      const body = canonicalJson(told)
      return changeAs(parts, admin, async (tx, now) => {
        await lockMonitorSettings(tx)
        const stored = await findMonitorSettings(tx)
        if (stored?.body === body) return toShown(stored)
        await storeMonitorSettings(tx, { organizationId, body }, now)
        const happening = { type: 'monitor.settings_changed', subject: {}, data: { settings: told } } as const
        const event = parts.writeEvent({ organizationId, actor: actorOf(admin), ...happening, requestId }, now)
        await insertEvents(tx, [event])
        return toShown({ body, changedAt: now })
      })
    },
  }
}

function toShown(stored: StoredMonitorSettings | undefined): ShownMonitorSettings {
  const parsed = stored === undefined ? defaultMonitorSettings : parseMonitorSettings(stored.body)
  const settings = parsed ?? defaultMonitorSettings
  return { settings, changedAt: stored?.changedAt, isReadable: parsed !== undefined, rules: everyRule(settings) }
}
