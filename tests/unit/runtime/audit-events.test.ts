import { describe, expect, it } from 'vitest'
import { NIL_UUID } from '../../../protocol/log/audit-event.ts'
import { auditEventTypes } from '../../../protocol/log/audit-event-types.ts'
import { createNativePrimitives } from '../../../protocol/primitives/native.ts'
import { createEventWriter, type EventDraft } from '../../../runtime/audit-events.ts'

const shared = { organizationId: NIL_UUID, actor: { type: 'service', id: NIL_UUID }, requestId: NIL_UUID } as const
const subject = { deviceId: NIL_UUID, sessionId: NIL_UUID }

describe('an event', () => {
  it('has the severity of its type, an id, its time and a salt of its own', () => {
    const write = createEventWriter(createNativePrimitives())
    const draft: EventDraft = { ...shared, type: 'session.failed', subject, data: {} }
    const [one, other] = [write(draft, 77), write(draft, 77)]
    const { id, salt, ...rest } = JSON.parse(one.entry)
    expect(rest).toEqual({ ...draft, v: 1, at: 77, severity: auditEventTypes['session.failed'].severity })
    expect(one).toMatchObject({ eventId: id, organizationId: NIL_UUID })
    expect(JSON.parse(other.entry)).not.toMatchObject({ salt })
  })

  it('does not compile with other members than those of its type', () => {
    const good: EventDraft[] = [
      { ...shared, type: 'session.superseded', subject, data: { by: NIL_UUID } },
      { ...shared, type: 'device.changed', subject: { deviceId: NIL_UUID }, data: { members: [], name: 'a' } },
    ]
    // What is wrong stands on the line that is expected to be refused.
    const bad: EventDraft[] = [
      // @ts-expect-error -- a member of the data is missing
      { ...shared, type: 'session.superseded', subject, data: {} },
      // @ts-expect-error -- a member of the subject is missing
      { ...shared, type: 'session.superseded', subject: { sessionId: NIL_UUID }, data: { by: NIL_UUID } },
      // @ts-expect-error -- the data have one too many
      { ...shared, type: 'session.superseded', subject, data: { by: NIL_UUID, metadata: {} } },
      // @ts-expect-error -- the subject has one too many
      { ...shared, type: 'session.superseded', subject: { ...subject, address: '' }, data: { by: NIL_UUID } },
      // @ts-expect-error -- there are no data
      { ...shared, type: 'session.failed', subject, data: { by: NIL_UUID } },
      // @ts-expect-error -- a member that may be missing is not there undefined
      { ...shared, type: 'device.changed', subject: { deviceId: '' }, data: { members: [], name: undefined } },
      // @ts-expect-error -- the severity is that of the type
      { ...shared, type: 'session.failed', severity: 'info', subject, data: {} },
      // @ts-expect-error -- there is no such type
      { ...shared, type: 'session.lost', subject, data: {} },
    ]
    expect([good.length, bad.length]).toEqual([2, 8])
  })
})
