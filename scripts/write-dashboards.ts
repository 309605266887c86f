import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { buildDashboard } from '../grafana/build-dashboard.ts'
import { dashboards } from '../grafana/list-dashboards.ts'

// `npm run dashboards`: the JSON that Grafana reads, of what grafana/ describes. `-- --runbooks URL/`: where you read this repository,
// for the links of the panels; without it they lead nowhere.
const { values } = parseArgs({ options: { runbooks: { type: 'string' } } })
if (values.runbooks !== undefined && !/^https?:\/\/.+\/$/.test(values.runbooks)) {
  throw new Error('--runbooks is the address before docs/runbooks/, with a slash at its end.')
}
const folder = join(import.meta.dirname, '..', 'grafana', 'dashboards')
await mkdir(folder, { recursive: true })
for (const dashboard of dashboards) {
  const file = join(folder, `${dashboard.uid}.json`)
  await writeFile(file, `${JSON.stringify(buildDashboard(dashboard, values), null, 2)}\n`)
  console.log(`Written: ${file}`)
}
