import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeCommand } from '../support/command-suite.ts'
import { startTestService } from '../support/service.ts'

describeCommand(async () => {
  const service = await startTestService({ isRealTime: true })
  const folder = await mkdtemp(join(tmpdir(), 'qflare-admin-'))
  const adminTokenFile = join(folder, 'admin-token')
  await writeFile(adminTokenFile, `${service.adminToken}\n`, { mode: 0o600 })
  return {
    url: service.url,
    adminTokenFile,
    async stop() {
      await service.close()
      await rm(folder, { recursive: true })
    },
  }
})
