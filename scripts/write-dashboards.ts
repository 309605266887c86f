import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buildDashboard } from '../grafana/build-dashboard.ts'
import { dashboards } from '../grafana/list-dashboards.ts'

// `npm run dashboards`: the JSON that Grafana reads, of what grafana/ describes.
const folder = join(import.meta.dirname, '..', 'grafana', 'dashboards')
await mkdir(folder, { recursive: true })
for (const dashboard of dashboards) {
  const file = join(folder, `${dashboard.uid}.json`)
  await writeFile(file, `${JSON.stringify(buildDashboard(dashboard), null, 2)}\n`)
  console.log(`Written: ${file}`)
}
