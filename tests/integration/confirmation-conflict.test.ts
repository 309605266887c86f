import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Database } from '../../database/open.ts'
import { confirm, enrollTestDevice, openExchange, stored } from '../support/api.ts'
import { expectRefusal } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'

let service: TestService
let betweenReadAndWrite: (() => Promise<void>) | undefined

beforeAll(async () => {
  const wrapDatabase = (database: Database): Database => ({
    ...database,
    async sendTransaction(scope, statements) {
      if (statements.some(({ name }) => name === 'confirm_exchange')) await betweenReadAndWrite?.()
      return database.sendTransaction(scope, statements)
    },
  })
  service = await startTestService({ wrapDatabase })
})
afterAll(() => service.close())

test('a confirmation that always finds the device changed is told to come again, and is good then', async () => {
  const device = await enrollTestDevice(service)
  const opened = await openExchange(service, device)
  let changes = 0
  betweenReadAndWrite = async () => {
    changes++
    const change = 'update principal set active_session_id = gen_random_uuid() where id = $1'
    await service.database.sql.query(change, [device.deviceId])
  }
  expectRefusal(await confirm(service, device, opened), 503, 'overloaded')
  expect(changes).toBe(8)
  expect((await stored(service, device.deviceId)).sessions).toMatchObject([{ state: 'PENDING' }])
  betweenReadAndWrite = undefined
  expect((await confirm(service, device, opened)).status).toBe(200)
})
