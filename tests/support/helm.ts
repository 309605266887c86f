import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { root } from '../architecture/repository.ts'
import { findProgram } from './find-program.ts'

const run = promisify(execFile)

export const chart = join(root, 'deploy', 'helm', 'qflare')

/** Debian has none, so that CI cannot ask for it: who changes the chart has it. */
export const hasHelm = findProgram('helm') !== undefined

/** What `helm template` makes of the chart, each as the YAML that it is. Throws with what Helm says against the values. */
export async function renderChart(values: unknown): Promise<unknown[]> {
  return await withFolder(async (folder) => {
    const rendered = await template(folder, chart, values)
    // There is no reader of YAML here but Helm's own: a chart that shows the documents as JSON.
    const reader = join(folder, 'reader')
    await mkdir(join(reader, 'templates'), { recursive: true })
    await writeFile(join(reader, 'Chart.yaml'), 'apiVersion: v2\nname: reader\nversion: 1.0.0\n')
    await writeFile(join(reader, 'rendered'), rendered)
    await writeFile(join(reader, 'templates', 'all.yaml'), READER)
    const text = await template(folder, reader, {})
    const { data } = JSON.parse(text.slice(text.indexOf('{'))) as { data: { documents: string } }
    return JSON.parse(data.documents) as unknown[]
  })
}

/** Throws with what `helm lint --strict` finds. */
export async function lintChart(values: unknown): Promise<void> {
  await withFolder(async (folder) => {
    await writeFile(join(folder, 'values.json'), JSON.stringify(values))
    await run('helm', ['lint', '--strict', '--values', join(folder, 'values.json'), chart], {
      env: environment(folder),
    })
  })
}

const READER = `{{- $documents := list }}
{{- range splitList "\\n---\\n" (printf "\\n%s" (.Files.Get "rendered")) }}
{{- with fromYaml . }}{{ $documents = append $documents . }}{{ end }}
{{- end }}
{{ toJson (dict "apiVersion" "v1" "kind" "ConfigMap" "metadata" (dict "name" "all") "data" (dict "documents" (toJson $documents))) }}
`

async function template(folder: string, path: string, values: unknown): Promise<string> {
  await writeFile(join(folder, 'values.json'), JSON.stringify(values))
  const { stdout } = await run('helm', ['template', 'fleet', path, '--values', join(folder, 'values.json')], {
    env: environment(folder),
    maxBuffer: 16 << 20,
  })
  return stdout
}

/** Helm keeps what it remembers in the home folder. */
function environment(folder: string): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, HOME: folder }
}

async function withFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'qflare-helm-'))
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
