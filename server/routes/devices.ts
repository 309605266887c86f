import { z } from 'zod'
import { deviceCapabilities, deviceLabel } from '../../protocol/device-labels.ts'
import {
  deviceMetadata,
  displayName,
  displayNamePrefix,
  principalKinds,
  principalStatuses,
} from '../../protocol/enrollment.ts'
import { decimal, pageOf, pageQuery, toPage } from '../page.ts'
import { defineRoute, type Route } from '../route.ts'
import type { Devices } from '../services/devices.ts'
import { deviceJson, toDeviceJson } from './device-json.ts'
import { parseId } from './ids.ts'

const listQuery = z.strictObject({
  ...pageQuery,
  status: z.enum(principalStatuses).optional(),
  kind: z.enum(principalKinds).optional(),
  type: deviceLabel.optional(),
  capability: deviceLabel.optional().meta({ description: 'that the device has, among others' }),
  name: displayName.optional().meta({ description: 'the whole name' }),
  namePrefix: displayNamePrefix.optional().meta({ description: 'how the name begins' }),
  lastSeenBefore: decimal.optional().meta({ description: 'milliseconds since the Unix epoch' }),
  lastSeenAfter: decimal.optional().meta({ description: 'milliseconds since the Unix epoch' }),
  rotationDue: z.literal('true').optional().meta({ description: 'those whose identity key is flagged as old' }),
})

const deviceChange = z
  .strictObject({
    name: displayName.optional(),
    type: deviceLabel.nullable().optional().meta({ description: 'null removes it' }),
    capabilities: deviceCapabilities.optional(),
    metadata: deviceMetadata
      .optional()
      .meta({ description: 'all of it; the only member that a device itself may send' }),
  })
  .meta({ id: 'DeviceChange' })

export function deviceRoutes(devices: Devices): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/v1/devices',
      access: 'operator',
      summary: 'List devices, newest first',
      query: listQuery,
      answers: { 200: { description: 'A page of devices.', body: pageOf(deviceJson) } },
      async answer({ caller, query: { limit, cursor, rotationDue, ...filter } }) {
        const isRotationDue = rotationDue === 'true'
        const asked = { ...noFilter, ...filter, isRotationDue, limit: limit + 1, beforeId: cursor }
        const page = toPage(await devices.list(caller, asked), limit)
        return { status: 200, body: { ...page, items: page.items.map(toDeviceJson) } }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/devices/:id',
      access: 'operator_or_own',
      summary: 'Show a device',
      answers: { 200: { description: 'The device.', body: deviceJson } },
      async answer({ caller, params }) {
        return { status: 200, body: toDeviceJson(await devices.get(caller, parseId(params))) }
      },
    }),
    defineRoute({
      method: 'patch',
      path: '/v1/devices/:id',
      access: 'operator_or_own',
      summary: 'Change what is known of a device; it may change its own metadata',
      body: deviceChange,
      answers: { 200: { description: 'The device. Repeating it changes nothing.', body: deviceJson } },
      errors: ['forbidden'],
      async answer({ caller, params, body, requestId }) {
        return { status: 200, body: toDeviceJson(await devices.change(caller, parseId(params), body, requestId)) }
      },
    }),
  ]
}

const noFilter = {
  status: undefined,
  kind: undefined,
  type: undefined,
  capability: undefined,
  name: undefined,
  namePrefix: undefined,
  lastSeenBefore: undefined,
  lastSeenAfter: undefined,
}
