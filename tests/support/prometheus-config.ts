import { readText } from '../architecture/repository.ts'

export interface Target {
  role: string
  /** HOST:PORT. */
  target: string
}

/**
 * prometheus/prometheus.yml itself, but for two things: there are no names of docker-compose.yml here, so that the targets stand in it
 * with the name that they were found by, and what is asked each 15 seconds is asked each second. `alertmanager`: HOST:PORT of whom it
 * tells of alerts, as prometheus/alertmanager.yml shows it.
 */
export function prometheusConfig(targets: readonly Target[], { alertmanager }: { alertmanager?: string } = {}): string {
  const listed = targets.map(
    ({ role, target }) => `      - { targets: ["${target}"], labels: { __meta_dns_name: ${role} } }\n`,
  )
  const config = change(readText('prometheus/prometheus.yml'), [
    [/^ {4}dns_sd_configs:\n(?: {6}.*\n)+/m, `    static_configs:\n${listed.join('')}`],
    ['  scrape_interval: 15s\n', '  scrape_interval: 1s\n'],
    ['  evaluation_interval: 15s\n', '  evaluation_interval: 1s\n'],
  ])
  if (alertmanager === undefined) return config
  return `${config}\nalerting: { alertmanagers: [{ static_configs: [{ targets: ['${alertmanager}'] }] }] }\n`
}

/** prometheus/alertmanager.yml itself, with these receivers, and a second in the place of the minutes that it waits to tell. */
export function alertmanagerConfig(receivers: { onCall: string; tickets: string }): string {
  return change(readText('prometheus/alertmanager.yml'), [
    ['https://on-call.example/page\n', `${receivers.onCall}\n`],
    ['https://tickets.example/qflare\n', `${receivers.tickets}\n`],
    ['  group_wait: 30s\n', '  group_wait: 1s\n'],
    ['  group_interval: 5m\n', '  group_interval: 1s\n'],
  ])
}

/** The alerts of prometheus/rules/, each a second after its cause; and a queue is late after five seconds instead of five minutes. */
export function hastenRules(rules: string): string {
  const late = 'qflare_queue_late_seconds{queue!="long"}) > '
  return change(rules.replace(/^ {8}for: \d+[smh]$/gm, '        for: 1s'), [[`${late}300 `, `${late}5 `]])
}

/** Throws where there is nothing to change: a file that was changed itself has to be looked at here. */
function change(text: string, changes: readonly (readonly [string | RegExp, string])[]): string {
  return changes.reduce((before, [what, by]) => {
    const after = before.replace(what, () => by)
    if (after === before) throw new Error(`There is no ${what} to change.`)
    return after
  }, text)
}
