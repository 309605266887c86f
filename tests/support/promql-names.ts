/** Words of PromQL that stand where a metric could. */
const words = new Set(['and', 'or', 'unless', 'bool', 'offset', 'on', 'ignoring', 'group_left', 'group_right'])

/**
 * The metrics and recorded series that an expression of PromQL names, as it names them: of a histogram with `_bucket`, `_sum` or
 * `_count`. Texts, selectors, windows and lists of labels are taken out first; what is left, and is no function, is a name.
 */
export function promqlNames(expression: string): string[] {
  const bare = expression
    .replace(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/g, ' ')
    .replace(/\{[^}]*\}/g, ' ')
    .replace(/\[[^\]]*\]/g, ' ')
    .replace(/\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)/g, ' ')
  const names = [...bare.matchAll(/[a-zA-Z_:][\w:]*(?!\w)(?!\s*\()/g)].map(([name]) => name)
  return [...new Set(names.filter((name) => !words.has(name) && !isPartOfNumber(name)))]
}

/** The metric of the code that a name of PromQL belongs to. */
export function metricOf(name: string): string {
  return name.replace(/_(bucket|sum|count)$/, '')
}

function isPartOfNumber(name: string): boolean {
  return /^(e\d+|[smhdwy]|Inf|NaN)$/.test(name)
}
