import { copyFile, mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'

// `npm run chart`: the rules of prometheus/ and the dashboards in the chart, which can read no file outside its folder.
const root = join(import.meta.dirname, '..')
for (const [folder, from] of [
  ['rules', join(root, 'prometheus', 'rules')],
  ['dashboards', join(root, 'grafana', 'dashboards')],
] as const) {
  const to = join(root, 'deploy', 'helm', 'qflare', folder)
  await rm(to, { recursive: true, force: true })
  await mkdir(to, { recursive: true })
  for (const name of await readdir(from)) {
    await copyFile(join(from, name), join(to, name))
    console.log(`Written: ${join(to, name)}`)
  }
}
