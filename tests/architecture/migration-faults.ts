interface Rule {
  what: string
  pattern: RegExp
  /** A table that the same migration makes is nobody's yet. */
  mayBeOwn?: true
}

/**
 * What takes something away from the release before, which works beside this one on the schema of this one, or holds its requests up
 * for as long as a table is read.
 */
const rules: readonly Rule[] = [
  {
    what: 'drops what the release before may use',
    pattern: /\bdrop (table|view|column|function|procedure|type|domain|schema|policy|role)\b/,
  },
  { what: 'renames what the release before may use', pattern: /\brename (to|column|constraint|value)\b/ },
  { what: 'changes the type of a column', pattern: /\balter (column )?\w+ (set data )?type\b/ },
  { what: 'wants a value that the release before may not write', pattern: /\bset not null\b/, mayBeOwn: true },
  {
    what: 'may refuse what the release before writes',
    pattern: /\badd (constraint|check|unique|exclude|primary|foreign)\b/,
    mayBeOwn: true,
  },
  { what: 'may refuse what the release before writes', pattern: /\bcreate (constraint )?trigger\b/, mayBeOwn: true },
  { what: 'may hide what the release before reads', pattern: /\bcreate policy\b.*\bas restrictive\b/, mayBeOwn: true },
  {
    what: 'adds a column that the release before does not fill',
    pattern: /\badd column (if not exists )?\w+ (?![^,]*\b(default|generated)\b)[^,]*\bnot null\b/,
    mayBeOwn: true,
  },
  {
    what: 'takes a right that the release before may use',
    pattern: /^revoke (?!(create on schema|execute on function)\b)/,
    mayBeOwn: true,
  },
  {
    what: 'lets writers wait until an index is made',
    pattern: /^create (unique )?index\b/,
    mayBeOwn: true,
  },
]

/** What is wrong with the SQL of a migration, once each. What stands in the functions that it makes is not looked at; what it does is. */
export function findMigrationFaults(sql: string): string[] {
  const statements = toStatements(sql)
  const own = statements.flatMap((statement) => /^create table (if not exists )?(\w+)/.exec(statement)?.[2] ?? [])
  const isOwn = (statement: string) => own.some((table) => new RegExp(`\\b${table}\\b`).test(statement))
  const found = statements.flatMap((statement) =>
    rules
      .filter(({ pattern, mayBeOwn }) => pattern.test(statement) && !(mayBeOwn === true && isOwn(statement)))
      .map(({ what }) => what),
  )
  return [...new Set(found)]
}

function toStatements(sql: string): string[] {
  return sql
    .toLowerCase()
    .replaceAll(/--.*$/gm, '')
    .replaceAll(/\bas \$(\w*)\$.*?\$\1\$/gs, '')
    .replaceAll(/\bbegin atomic\b.*?\bend;/gs, ';')
    .split(';')
    .map((statement) => statement.replaceAll(/\s+/g, ' ').trim())
}
