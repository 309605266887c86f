import { findNearest } from '../../client/command/find-nearest.ts'
import { type Config, ConfigError, loadConfig } from '../../runtime/config.ts'
import { findUnknownVariables } from '../../runtime/unknown-variables.ts'
import type { Environment } from '../define-operation.ts'
import { type Finding, findingsOf } from './finding.ts'

const { ok, warning, problem } = findingsOf('configuration')

/**
 * Every problem at once, and what can be examined further: the configuration without the variables that are wrong, or undefined
 * where even that cannot be used.
 */
export function examineConfiguration(env: Environment): { findings: Finding[]; config: Config | undefined } {
  const unknown = findUnknownVariables(env, findNearest).map((text) =>
    warning(text, 'Mend its name, or take it away. config.example.env lists them all.'),
  )
  try {
    const config = loadConfig(env)
    const database = config.database === undefined ? 'embedded PostgreSQL' : 'PostgreSQL of DATABASE_URL'
    return { findings: [ok(`can be used: ${database}, ${config.roles.join(' and ')}`), ...unknown], config }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const found = error.problems.map((text) => problem(text, 'Mend the variable; the service does not start with it.'))
    return { findings: [...found, ...unknown], config: withoutWrongOnes(env, error) }
  }
}

function withoutWrongOnes(env: Environment, { problems }: ConfigError): Config | undefined {
  const wrong = new Set(problems.map((text) => text.split(':')[0]))
  try {
    return loadConfig(Object.fromEntries(Object.entries(env).filter(([name]) => !wrong.has(name))))
  } catch (error) {
    if (error instanceof ConfigError) return undefined
    throw error
  }
}
