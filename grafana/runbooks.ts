/** The variable of each dashboard that has the address before the path of a runbook. */
export const RUNBOOKS = 'runbooks'

/** Where nobody has said it: an address of nobody, which a browser does not find. */
export const NOWHERE = 'https://qflare.invalid/'

/** Of an alert of prometheus/rules/alerts.yml: the file in this repository, and what a page makes of its first heading. */
export function runbookOf(alert: string): { path: string; heading: string } {
  const words = alert.replace(/^Qflare/, '').match(/[A-Z][a-z]+/g) ?? []
  return { path: `docs/runbooks/${words.join('-').toLowerCase()}.md`, heading: alert.toLowerCase() }
}
