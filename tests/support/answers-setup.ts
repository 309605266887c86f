import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { toTemplate } from '../../server/openapi.ts'
import { listDescribedRoutes } from './api-document.ts'
import { ANSWERS_FILE, type CheckedAnswer } from './check-answers.ts'

/** Collects what every process of the run answered, and says at its end how much of the API that was. */
export async function setup(): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'qflare-answers-'))
  const file = join(folder, 'answers.jsonl')
  process.env[ANSWERS_FILE] = file
  return async () => {
    const text = await readFile(file, 'utf8').catch(() => '')
    await rm(folder, { recursive: true, force: true })
    summarize(text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as CheckedAnswer])))
  }
}

function summarize(answers: readonly CheckedAnswer[]): void {
  const wrong = answers.filter(({ problem }) => problem !== undefined)
  const seen = new Set(answers.map(({ route, status }) => `${route} ${status}`))
  const described = listDescribedRoutes().flatMap(({ method, path, answers: good }) =>
    Object.keys(good).map((status) => `${method} ${toTemplate(path)} ${status}`),
  )
  const unseen = described.filter((answer) => !seen.has(answer))
  console.log(
    `${answers.length} answers of the API compared with its OpenAPI document: ${wrong.length} differ; ` +
      `${described.length - unseen.length} of ${described.length} described successes were seen.`,
  )
  if (unseen.length > 0 && seen.size > described.length) console.log(`Never seen: ${unseen.join(', ')}`)
  if (wrong.length > 0) {
    const lines = new Set(wrong.map(({ route, status, problem }) => `${route} ${status}: ${problem}`))
    throw new Error(`answers are not as the OpenAPI document says:\n${[...lines].join('\n')}`)
  }
}
