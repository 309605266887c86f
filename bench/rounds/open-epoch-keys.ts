import { join } from 'node:path'
import { openDatabase } from '../../database/open.ts'
import { openCustody } from '../../operations/open-custody.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { createClock } from '../../runtime/clock.ts'
import { loadConfig } from '../../runtime/config.ts'
import { openFileTemporalKeyStore } from '../../runtime/temporal/file-temporal-key-store.ts'
import { temporalKeyFolder } from '../../runtime/temporal/temporal-key-folder.ts'
import { createTemporalKeys, type EpochKey } from '../../server/services/temporal-keys.ts'
import type { BenchService } from '../exchange/start-service.ts'

/** The epoch keys of a running service from `first` to `last`, by the root key in its data folder. */
export async function openEpochKeys(
  service: Pick<BenchService, 'dataDirectory' | 'databaseConnection'>,
  crypto: Primitives,
  { first, last }: { first: number; last: number },
): Promise<EpochKey[]> {
  const { dataDirectory } = service
  await using opened = new AsyncDisposableStack()
  const connection = await service.databaseConnection()
  const database = openDatabase({ connection, role: 'qflare_worker', maxConnections: 1, onConnectionLost: () => {} })
  opened.defer(() => database.close())
  const config = loadConfig({ QFLARE_DATA_DIR: dataDirectory })
  const { serviceKeys } = await openCustody({ database, crypto, env: {}, config })
  const { rootKid, keyring } = serviceKeys
  const store = await openFileTemporalKeyStore(join(await temporalKeyFolder(dataDirectory), rootKid))
  const clock = createClock(() => database.readClock())
  await clock.measure()
  const temporalKeys = createTemporalKeys({ database, store, keyring, crypto, clock })
  opened.defer(() => temporalKeys.close())
  return await temporalKeys.getEpochKeys(first, last)
}
