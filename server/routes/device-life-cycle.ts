import { z } from 'zod'
import { defineRoute, type Route } from '../route.ts'
import type { DeviceLifeCycle } from '../services/device-life-cycle.ts'
import { deviceJson, toDeviceJson } from './device-json.ts'
import { parseId } from './ids.ts'

const empty = z.strictObject({})

export function deviceLifeCycleRoutes(lifeCycle: DeviceLifeCycle): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/devices/:id/suspend',
      access: 'operator',
      summary: 'Suspend a device and end its sessions, until it is resumed',
      body: empty,
      answers: { 200: { description: 'The device, SUSPENDED. Repeating it changes nothing.', body: deviceJson } },
      errors: ['session_state'],
      async answer({ caller, params, requestId }) {
        return { status: 200, body: toDeviceJson(await lifeCycle.suspend(caller, parseId(params), requestId)) }
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/devices/:id/resume',
      access: 'operator',
      summary: 'Let a suspended device exchange keys again',
      body: empty,
      answers: { 200: { description: 'The device, ACTIVE. Repeating it changes nothing.', body: deviceJson } },
      errors: ['session_state'],
      async answer({ caller, params, requestId }) {
        return { status: 200, body: toDeviceJson(await lifeCycle.resume(caller, parseId(params), requestId)) }
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/devices/:id/clear-quarantine',
      access: 'operator',
      summary: 'Let a quarantined device exchange keys and attest again',
      body: empty,
      answers: { 200: { description: 'The device, ACTIVE. Repeating it changes nothing.', body: deviceJson } },
      errors: ['session_state'],
      async answer({ caller, params, requestId }) {
        return { status: 200, body: toDeviceJson(await lifeCycle.clearQuarantine(caller, parseId(params), requestId)) }
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/devices/:id/lift-restrictions',
      access: 'operator',
      summary: 'End what the security monitor holds a device to',
      body: empty,
      answers: { 200: { description: 'The device, unrestricted. Repeating it changes nothing.', body: deviceJson } },
      async answer({ caller, params, requestId }) {
        return { status: 200, body: toDeviceJson(await lifeCycle.liftRestrictions(caller, parseId(params), requestId)) }
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/devices/:id/revoke',
      access: 'operator',
      summary: 'Revoke a device and its sessions, for good',
      body: empty,
      answers: { 200: { description: 'The device, REVOKED. Repeating it changes nothing.', body: deviceJson } },
      async answer({ caller, params, requestId }) {
        return { status: 200, body: toDeviceJson(await lifeCycle.revoke(caller, parseId(params), requestId)) }
      },
    }),
  ]
}
